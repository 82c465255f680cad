"""Clients in threads that go on until they are told to stop, and remember every answer."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.caller import LOST, Answer, Caller, eventually

Work = Callable[[Caller, int], Answer]


@dataclass
class Crowd:
    """answers: by status. lost: calls that had no answer. failures: what no client may see."""

    answers: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    failures: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_for_more(self, number: int, status: int = 200) -> None:
        wanted = self.answers[status] + number
        what = f"{number} more answers"
        eventually(lambda: self.answers[status] >= wanted or bool(self.failures), 60, lambda: f"{what}: {self}")
        assert self.failures == []


@contextmanager
def crowd(make: Callable[[], Caller], works: Sequence[Work], allowed: Sequence[int] = (200,)) -> Iterator[Crowd]:
    """One thread for each work, which is called with a number that no other call has. It ends with the block, or when
    its server is gone for good (the thread then stops by itself once it is told to).
    """
    state = Crowd()

    def run(caller: Caller, first: int, work: Work) -> None:
        number = first
        while not state.stopping.is_set():
            try:
                answer = work(caller, number)
            except LOST:
                with state.lock:
                    state.lost += 1
                state.stopping.wait(0.01)
            except Exception as error:
                state.failures.append(f"{type(error).__name__}: {error}")
                return
            else:
                with state.lock:
                    state.answers[answer.status] += 1
                if answer.status not in allowed:
                    state.failures.append(str(answer))
            number += len(works)
        caller.close()

    threads = [threading.Thread(target=run, args=(make(), first, work)) for first, work in enumerate(works)]
    for thread in threads:
        thread.start()
    try:
        yield state
    finally:
        state.stopping.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert state.failures == []
