"""What the processes around the work share: the queue, the blob store, pictures by URI."""
