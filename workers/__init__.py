"""The worker: one model host a GPU, fed by Celery and by gRPC; and the sweeper."""
