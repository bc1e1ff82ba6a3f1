"""Task names, arguments and queues: what others send, and what waits in Redis over an upgrade."""

import pytest

from landmarks.job_store.task_messages import TaskMessage, job_message, work_message


@pytest.mark.parametrize(
    ("field", "task", "more", "queue"),
    [
        ("listing", "indexer_worker.index", {}, "index"),
        ("vgg16/7", "indexer_worker.index_chunk", {"model": "vgg16", "chunk": 7}, "encode.vgg16"),
        ("vgg16/prune", "indexer_worker.prune", {"model": "vgg16"}, "encode.vgg16"),
        ("vgg16/promote", "indexer_worker.promote", {"model": "vgg16"}, "encode.vgg16"),
    ],
)
def test_each_piece_of_work_has_its_task_and_its_queue(field, task, more, queue):
    assert work_message("a-job", field) == TaskMessage(task, {"job_id": "a-job", **more}, queue)


def test_a_resumed_job_enqueues_its_open_work_too():
    message = job_message("a-job", resume=True)
    assert message.arguments == {"job_id": "a-job", "resume": True}
