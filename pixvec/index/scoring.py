"""Named images compared with queries: exact, whatever the index."""

from collections.abc import Mapping

import numpy as np

from pixvec.index.interfaces import Float32Array, ImageScores, SpaceSpec
from pixvec.index.rows import pair_scores, prepare_rows


def score_images(
    space: SpaceSpec, queries: Float32Array, vectors: Mapping[str, Float32Array]
) -> dict[str, ImageScores]:
    """Return how well each image, by its stored (rows, dim) vectors, fits each query, (n, dim) float32: by its best
    row, the first of equal ones. The scores are those that a search finds. Raises InvalidVector."""
    prepared = prepare_rows(queries, space)
    return {image_id: _best(space, prepared, rows) for image_id, rows in vectors.items()}


def _best(space: SpaceSpec, prepared: Float32Array, rows: Float32Array) -> ImageScores:
    scores = pair_scores(space.metric, prepared, np.broadcast_to(rows, (len(prepared), *rows.shape)))
    best = scores.argmax(axis=1)
    return ImageScores(np.take_along_axis(scores, best[:, None], axis=1)[:, 0], best.astype(np.uint32))
