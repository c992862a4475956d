"""The searcher: holds index shards in memory and follows the change feed."""
