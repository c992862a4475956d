"""What `AsyncClient` finds with."""

import asyncio
import functools
from collections.abc import Iterable

import grpc

from pixvec.api.v1.search_service_pb2_grpc import SearchServiceStub
from pixvec.client import answers
from pixvec.client.arguments import BoxLike, search_options
from pixvec.client.calls import AsyncCalls
from pixvec.client.fusing import FuseLike
from pixvec.client.joined import JoinedSearches
from pixvec.client.parts import Part, PictureLike, read_parts, read_picture
from pixvec.client.queries import (
    batch_request,
    classify_request,
    duplicates_request,
    query_request,
    read_pictures,
    scene_request,
)
from pixvec.client.scene_values import SceneResult
from pixvec.client.values import BatchResult, ClassifyResult, DuplicatesResult, SearchResult
from pixvec.client.vectors import MatrixLike, VectorLike
from pixvec.domain import Consistency
from pixvec.fusion import DEFAULT_RRF_K, FusionMethod


class AsyncSearches(AsyncCalls):
    """The searches of one client, each as fresh as its own writes."""

    def __init__(self, address: str, timeout_s: float, channel: grpc.aio.Channel) -> None:
        super().__init__(address, timeout_s)
        self._search = SearchServiceStub(channel)
        self._joined = JoinedSearches(
            functools.partial(self._call, self._search.Query), functools.partial(self._call, self._search.QueryBatch)
        )

    async def search(
        self,
        collection: str,
        *,
        image: PictureLike | None = None,
        image_id: str | None = None,
        region_id: str | None = None,
        box: BoxLike | None = None,
        text: str | None = None,
        vector: VectorLike | None = None,
        combine: Iterable[Part] | None = None,
        space: str = "",
        fuse: FuseLike | None = None,
        fuse_method: FusionMethod | str = FusionMethod.RRF,
        rrf_k: int = DEFAULT_RRF_K,
        limit: int = 10,
        offset: int = 0,
        min_score: float | None = None,
        attributes: bool = False,
        regions: bool = False,
        masks: bool = False,
        match: bool = False,
        exact: bool = False,
        ef: int = 0,
        nprobe: int = 0,
        rescore: float = 0.0,
        consistency: Consistency | str = Consistency.SESSION,
        timeout_s: float = 10.0,
    ) -> SearchResult:
        """Find images like a picture (bytes or a file), like one of the collection, of what a text says, or near a
        vector; or like several of these at once: `combine` takes a weighted `Part` for each. A text takes a space whose
        model reads texts, such as open_clip; by default the first one.

        In a collection of regions, `region_id` finds what is like an object of a picture, and `box`, x1, y1, x2, y2 in
        pixels of the upright `image` or `image_id`, what is like that part of it; in other spaces a box is cut out.
        `regions` asks where the objects are that were found, `masks` for their pixels too. `match` asks which of
        the first 20 hits are copies of the whole picture that was searched by.

        `fuse` searches several spaces at once for what is like the query in all of them: weights by name, as
        `{"image": 1, "colours": 0.5}`, or names, or a `FusedSpace` each, which may say a `min_score` of its own. By
        `fuse_method` `rrf` the ranks in the spaces count, as 1 / (`rrf_k` + rank); by `weighted` the scores do, each
        from -1 to 1 on a scale of its space: 1 is the best there. The `scores` of a hit are those in each space.

        `exact` compares every vector. Otherwise `ef` (of a graph) and `nprobe` (of inverted lists) say how far to look,
        and `rescore` how many times `limit` candidates are compared again as they are stored, -1 for none; 0 stands for
        the default of each.

        By default the answer has seen every write of this client; `eventual` takes what each shard has now and says in
        `coverage` how many answered. Searches by vector that wait at the same time and differ in nothing else go to the
        server together. Raises CollectionNotFound, ImageNotFound, InvalidVector, NoTextTower, PictureError,
        ShardUnavailable, and OSError for a file that cannot be read.
        """
        picture = image if image is None else await asyncio.to_thread(read_picture, image)
        parts = combine if combine is None else await asyncio.to_thread(read_parts, combine)
        request = query_request(
            collection,
            picture,
            image_id,
            vector,
            region_id=region_id,
            box=box,
            by_text=text,
            combine=parts,
            space=space,
            fuse=fuse,
            fuse_method=fuse_method,
            rrf_k=rrf_k,
            limit=limit,
            offset=offset,
            min_score=min_score,
            attributes=attributes,
            regions=regions,
            masks=masks,
            match=match,
            options=search_options(exact=exact, ef=ef, nprobe=nprobe, rescore=rescore),
            consistency=consistency,
            token=self._tokens.newest(collection),
        )
        return answers.search_result(await self._fresh(collection, self._joined.search, request, timeout_s))

    async def search_scene(
        self,
        collection: str,
        *,
        image: PictureLike | None = None,
        image_id: str | None = None,
        max_objects: int = 10,
        limit: int = 10,
        min_score: float | None = None,
        attributes: bool = False,
        regions: bool = True,
        masks: bool = False,
        exact: bool = False,
        ef: int = 0,
        nprobe: int = 0,
        rescore: float = 0.0,
        consistency: Consistency | str = Consistency.SESSION,
        timeout_s: float = 30.0,
    ) -> SceneResult:
        """Find each object of a picture by itself, and `pictures` that hold all of them, by the mean of their scores.

        The collection's detector finds the objects, or found them when the image was taken in; the `max_objects` of the
        best detector score are searched for. With `min_score` a picture in which an object scores less does not hold
        it. A picture without any object has an empty answer. See `search` for the rest. Raises NoRegions where the
        collection finds no objects, ImageNotFound, PictureError.
        """
        picture = image if image is None else await asyncio.to_thread(read_picture, image)
        request = scene_request(
            collection,
            picture,
            image_id,
            max_objects=max_objects,
            limit=limit,
            min_score=min_score,
            attributes=attributes,
            regions=regions,
            masks=masks,
            options=search_options(exact=exact, ef=ef, nprobe=nprobe, rescore=rescore),
            consistency=consistency,
            token=self._tokens.newest(collection),
        )
        return answers.scene_result(await self._fresh(collection, self._search.QueryScene, request, timeout_s))

    async def find_duplicates(
        self,
        collection: str,
        *,
        image: PictureLike | None = None,
        image_id: str | None = None,
        limit: int = 10,
        min_score: float | None = None,
        consistency: Consistency | str = Consistency.SESSION,
        timeout_s: float = 30.0,
    ) -> DuplicatesResult:
        """Find copies of a picture, sent or of the collection: the same bytes, and what was resized, re-compressed, cut
        out or turned; of each hit `match` says which it is, and where the picture lies in it. What is merely similar
        comes last, none of it below `min_score`.

        Raises CollectionNotFound, ImageNotFound, PictureError, and OSError for a file that cannot be read.
        """
        picture = image if image is None else await asyncio.to_thread(read_picture, image)
        request = duplicates_request(
            collection,
            picture,
            image_id,
            limit=limit,
            min_score=min_score,
            consistency=consistency,
            token=self._tokens.newest(collection),
        )
        response = await self._fresh(collection, self._search.FindDuplicates, request, timeout_s)
        return answers.duplicates_result(response)

    async def search_batch(
        self,
        collection: str,
        *,
        images: Iterable[PictureLike] | None = None,
        image_ids: Iterable[str] | None = None,
        texts: Iterable[str] | None = None,
        vectors: MatrixLike | None = None,
        space: str = "",
        limit: int = 10,
        min_score: float | None = None,
        exact: bool = False,
        ef: int = 0,
        nprobe: int = 0,
        rescore: float = 0.0,
        consistency: Consistency | str = Consistency.SESSION,
        timeout_s: float = 30.0,
    ) -> BatchResult:
        """Find images like each of up to 1,000 pictures, images, texts or vectors (rows of an array) in one call:
        quicker than one by one. `limit` times their number is at most 100,000. One that cannot be answered fails them
        all, and the error says which. See `search` for the rest.
        """
        pictures = images if images is None else await asyncio.to_thread(read_pictures, images)
        request = batch_request(
            collection,
            pictures,
            image_ids,
            vectors,
            by_texts=texts,
            space=space,
            limit=limit,
            min_score=min_score,
            options=search_options(exact=exact, ef=ef, nprobe=nprobe, rescore=rescore),
            consistency=consistency,
            token=self._tokens.newest(collection),
        )
        return answers.batch_result(await self._fresh(collection, self._search.QueryBatch, request, timeout_s))

    async def classify(
        self,
        collection: str,
        labels: Iterable[str],
        *,
        images: Iterable[PictureLike] | None = None,
        image_ids: Iterable[str] | None = None,
        templates: Iterable[str] = (),
        space: str = "",
        consistency: Consistency | str = Consistency.SESSION,
        timeout_s: float = 60.0,
    ) -> ClassifyResult:
        """Say of which labels up to 1,000 pictures are, sent or of the collection, without any training: by a model of
        pictures and texts, that of the collection's first space that reads texts.

        `templates` are texts with `{}` where the label goes, such as `a photo of a {}.`; left out, a few of that sort.
        Raises CollectionNotFound, ImageNotFound, NoTextTower, PictureError, and OSError for a file that cannot be read.
        """
        pictures = images if images is None else await asyncio.to_thread(read_pictures, images)
        request = classify_request(
            collection,
            labels,
            pictures,
            image_ids,
            templates=templates,
            space=space,
            consistency=consistency,
            token=self._tokens.newest(collection),
        )
        response = await self._fresh(collection, self._search.Classify, request, timeout_s)
        return answers.classify_result(response, request.labels)
