"""Models as the gateway's callers know them: those of the workers, and fitted ones by name."""

import datetime as dt
import hashlib

from pixvec.blobs.store import BlobStore
from pixvec.catalogue.trainings import ModelStore
from pixvec.domain import FittedKind, FittedModel, Model, ModelKind
from pixvec.errors import InvalidRequest, ModelNotFound
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.embedder_client import EmbedderClient

_PAGE = 1_000
_DESCRIPTIONS = {
    FittedKind.SIFT_BOW: "SIFT as a bag of visual words: finds copies, crops and details",
    FittedKind.SIFT_VLAD: "SIFT as VLAD: finds copies, crops and details",
    FittedKind.PCA: "Principal components of a model's vectors",
    FittedKind.PCA_WHITENED: "Principal components of a model's vectors, whitened",
}


class Models:
    """Tells of models, and keeps the names of fitted ones."""

    def __init__(
        self,
        models: ModelStore,
        embedder: EmbedderClient,
        blobs: BlobStore,
        sql: BlockingCalls,
        files: BlockingCalls,
    ) -> None:
        self._models = models
        self._embedder = embedder
        self._blobs = blobs
        self._sql = sql
        self._files = files

    async def all(self, timeout_s: float) -> list[Model]:
        """Return what there is, fitted models last, by name. Raises EmbedderUnavailable."""
        known = await self._embedder.list_models(timeout_s)
        fitted: list[FittedModel] = []
        while len(page := await self._sql.run(self._models.page, fitted[-1].name if fitted else "", _PAGE)) == _PAGE:
            fitted += page
        by_name = {each.name: each for each in known}
        return known + [_described(each, by_name) for each in [*fitted, *page]]

    async def get(self, name: str, timeout_s: float) -> Model:
        """Return a model by its name as it is listed, a fitted one by its own name too. Raises ModelNotFound."""
        for each in await self.all(timeout_s):
            if name == each.name or (each.fitted is not None and name == each.fitted.name):
                return each
        raise ModelNotFound(f"no model {name!r} is listed: see `pixvec models`", field="model")

    async def register(
        self, name: str, kind: FittedKind, base_model: str, content: bytes, content_hash: str, timeout_s: float
    ) -> Model:
        """Keep a fitted file under a name, once a worker has loaded it. Raises InvalidRequest, WeightsUnavailable for
        what is no such file, ModelExists."""
        check_base_model(kind, base_model)
        found_hash = hashlib.sha256(content).hexdigest()
        if content_hash and content_hash != found_hash:
            raise InvalidRequest(
                f"the content's SHA-256 is {found_hash}, not {content_hash}: it was changed on its way; send it again",
                field="content_hash",
            )
        tried = await self._embedder.try_fitted(kind, name, base_model, content, timeout_s)
        kept = await self._files.run(self._blobs.put, content)
        # What `kind.model` puts behind a base model, taken off again.
        base = tried.model.removesuffix(kind.model(name))
        now = dt.datetime.now(dt.UTC)
        made = FittedModel(name, kind, base, tried.dim, tried.digest, kept, len(content), "", now)
        await self._sql.run(self._models.register, made)
        return _described(made, {each.name: each for each in await self._embedder.list_models(timeout_s)})

    async def delete(self, name: str) -> None:
        """Forget a fitted model, by its name or its model's. Raises ModelNotFound, FailedPrecondition while a
        collection is made with it."""
        await self._sql.run(self._models.delete, _own_name(name))


def check_base_model(kind: FittedKind, base_model: str) -> None:
    """Raise InvalidRequest unless a PCA has a model that it is for, without a PCA of its own, and a codebook none."""
    if kind.is_codebook and base_model:
        raise InvalidRequest(f"a codebook is made of pictures: leave the model {base_model!r} out", field="model")
    if not kind.is_codebook and not base_model:
        raise InvalidRequest("a PCA is of a model's vectors: name the model", field="model")
    if any(step.startswith(("pca:", "pcaw:")) for step in base_model.split("+")[1:]):
        raise InvalidRequest(f"{base_model} has a PCA already: name the model before it", field="model")


def _own_name(name: str) -> str:
    """Return the name of the fitted model that a model's text ends in."""
    return name.rpartition("+")[2].rpartition(":")[2] if ":" in name else name


def _described(fitted: FittedModel, known: dict[str, Model]) -> Model:
    # One that is not listed by itself is of a family, or was fitted with a file that is not named any more.
    base = known.get(fitted.base_model.partition("+")[0])
    return Model(
        name=fitted.model,
        kind=ModelKind.FITTED,
        dim=fitted.dim,
        description=_DESCRIPTIONS[fitted.kind],
        size_bytes=fitted.size_bytes,
        source=f"fitted on {fitted.collection}" if fitted.collection else "registered",
        licence="",
        available=base is None or base.available,
        detail="its file is in the blob store" if base is None or base.available else base.detail,
        takes_text=base is not None and base.takes_text,
        fitted=fitted,
    )
