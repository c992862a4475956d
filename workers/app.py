"""The Celery app of the worker. The parent of the model host imports no model library."""

from pixvec.jobs.celery_app import celery_app
from pixvec.settings import WorkerSettings, read_settings
from workers.stopping import PoliteStop

app = celery_app(read_settings(WorkerSettings).broker_url)
app.conf.include = ["workers.tasks.ingest"]
app.steps["worker"].add(PoliteStop)
