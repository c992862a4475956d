import datetime as dt

import pytest

from pixvec.domain import (
    Consistency,
    ImageState,
    IngestStage,
    ItemError,
    JobState,
    Metric,
    OnExisting,
    SeqToken,
    ShardPosition,
)
from pixvec.rpc import conversions as c


@pytest.mark.parametrize(
    ("kind", "to_wire", "from_wire"),
    [
        (Metric, c.metric_to_wire, c.metric_from_wire),
        (Consistency, c.consistency_to_wire, c.consistency_from_wire),
        (IngestStage, c.stage_to_wire, c.stage_from_wire),
        (OnExisting, c.on_existing_to_wire, c.on_existing_from_wire),
        (ImageState, c.image_state_to_wire, c.image_state_from_wire),
        (JobState, c.job_state_to_wire, c.job_state_from_wire),
    ],
)
def test_every_name_has_one_on_the_wire(kind, to_wire, from_wire):
    assert [from_wire(to_wire(each)) for each in kind] == list(kind)
    assert all(to_wire(each) for each in kind), "0 stands for unspecified"


def test_unspecified_is_the_documented_default():
    assert c.metric_from_wire(0) is Metric.COSINE
    assert c.consistency_from_wire(0) is Consistency.EVENTUAL
    assert c.stage_from_wire(0) is IngestStage.INDEXED
    assert c.on_existing_from_wire(0) is OnExisting.REPLACE


def test_values_come_back_as_they_were():
    token = SeqToken((ShardPosition(0, "e", 7), ShardPosition(3, "f", 2**60)))
    assert c.token_from_wire(c.token_to_wire(token)) == token
    error = ItemError("PICTURE_EMPTY", "a.jpg: no bytes", retryable=True)
    assert c.item_error_from_wire(c.item_error_to_wire(error)) == error
    moment = dt.datetime(2024, 5, 6, 7, 8, 9, 123456, dt.UTC)
    assert c.time_from_wire(c.time_to_wire(moment)) == moment
