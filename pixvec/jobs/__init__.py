"""What the gateway and the workers share: the queue contract, the blob store, sources of pictures by URI."""
