"""Backups of shards in the blob store: stored, checked, fetched and removed, by whoever has their rows at hand."""
