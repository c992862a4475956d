"""Every Prometheus metric of pixvec, declared once. Seconds and bytes throughout."""

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

RPC_SECONDS = Histogram("pixvec_rpc_seconds", "Time to answer a call.", ["method", "code"], buckets=_FAST)
RPC_IN_FLIGHT = Gauge("pixvec_rpc_in_flight", "Calls being answered.", ["method"])

INGEST_ITEMS = Counter("pixvec_ingest_items_total", "Items accepted by the gateway.", ["collection", "outcome"])
INGEST_BYTES = Counter("pixvec_ingest_bytes_total", "Picture bytes accepted by the gateway.", ["collection"])
INGEST_STREAMS = Gauge("pixvec_ingest_streams", "Open Ingest streams.")

QUERY_STAGE_SECONDS = Histogram(
    "pixvec_query_stage_seconds", "Time of each stage of a query or a batch.", ["call", "stage"], buckets=_FAST
)
QUERY_SHARDS_MISSING = Counter("pixvec_query_shards_missing_total", "Shards that an answer had to go without.")
SHARD_CALLS_HEDGED = Counter(
    "pixvec_shard_calls_hedged_total", "Calls to slow searchers, made to other replicas as well."
)

CHUNK_SECONDS = Histogram(
    "pixvec_chunk_seconds", "Time to take in a chunk.", ["stage"], buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60)
)
ENDED_ITEMS = Counter("pixvec_chunk_items_total", "Items that ended in a worker.", ["outcome"])
PUSHES = Counter("pixvec_pushes_total", "Feed rows pushed to searchers, by outcome.", ["outcome"])
DECODERS_KILLED = Counter("pixvec_decoders_killed_total", "Decoder processes that died or overran.", ["cause"])
MODEL_BATCH_IMAGES = Histogram(
    "pixvec_model_batch_images", "Pictures a forward pass.", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
MODEL_BATCH_TEXTS = Histogram(
    "pixvec_model_batch_texts", "Texts a forward pass.", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
MODEL_SECONDS = Histogram("pixvec_model_seconds", "Time of a forward pass.", ["model"], buckets=_FAST)
MODEL_QUEUE_SECONDS = Histogram(
    "pixvec_model_queue_seconds", "Time a picture or a text waits for the model.", ["priority"], buckets=_FAST
)

SHARD_APPLIED_SEQ = Gauge("pixvec_shard_applied_seq", "Feed position applied.", ["collection", "shard"])
SHARD_LAG = Gauge("pixvec_shard_lag", "Feed positions behind the head.", ["collection", "shard"])
SHARD_IMAGES = Gauge("pixvec_shard_images", "Live images.", ["collection", "shard"])
SHARD_VECTOR_BYTES = Gauge("pixvec_shard_vector_bytes", "Bytes of vectors in memory.", ["collection", "shard"])
SHARD_SEARCH_SECONDS = Histogram("pixvec_shard_search_seconds", "Time to search one shard.", buckets=_FAST)
SEARCH_RECALL = Gauge(
    "pixvec_search_recall",
    "Share of the exact answer that searches found lately, over a sample of queries.",
    ["collection", "space", "shard", "filtered"],
)
GPU_QUERIES = Counter(
    "pixvec_gpu_queries_total",
    "Queries of segments that lie on a GPU, by what answered them: the GPU, or the CPU for this cause.",
    ["by"],
)
GPU_BYTES = Gauge("pixvec_gpu_bytes", "Bytes of segments on a GPU.", ["device"])
SNAPSHOT_SECONDS = Histogram("pixvec_snapshot_seconds", "Time to write a snapshot.", buckets=(0.1, 0.5, 1, 5, 30, 120))
SNAPSHOTS_REFUSED = Counter("pixvec_snapshots_refused_total", "Snapshots that failed their checks.", ["cause"])
SNAPSHOT_FAILURES = Counter("pixvec_snapshot_failures_total", "Snapshots that could not be written.")
BASES_MADE = Counter("pixvec_bases_made_total", "Shards backed up to the blob store.", ["outcome"])
BASES_REFUSED = Counter("pixvec_bases_refused_total", "Backups of shards that are not what was stored.")
BOOTSTRAPS = Counter("pixvec_bootstraps_total", "Shards to be begun with their backup.", ["outcome"])
BASE_SECONDS = Histogram(
    "pixvec_base_seconds", "Time to store or fetch the backup of a shard.", ["step"], buckets=(0.1, 1, 5, 30, 120, 600)
)
BUILD_SECONDS = Histogram(
    "pixvec_build_seconds", "Time to build a sealed segment.", ["kind"], buckets=(0.1, 0.5, 1, 5, 30, 120, 600, 3600)
)
BUILD_FAILURES = Counter("pixvec_build_failures_total", "Sealed segments that could not be built.")
SHARD_SEGMENTS = Gauge("pixvec_shard_segments", "Sealed segments, those being built included.", ["collection", "shard"])
WRITES_PUSHED_BACK = Counter("pixvec_writes_pushed_back_total", "Pushes refused because the growing part is full.")
RECORDS_SKIPPED = Counter("pixvec_records_skipped_total", "Feed records that no index can take.", ["cause"])

SWEEPER_REPUBLISHED = Counter("pixvec_sweeper_republished_total", "Chunks published again.")
FEEDS_TRUNCATED = Counter("pixvec_feeds_truncated_total", "Feeds that were made to begin at a backup.")
SWEEPER_PRUNED = Counter("pixvec_sweeper_pruned_total", "Rows pruned, and pictures freed.", ["table"])
