# What the book says about asyncio, as programs. `claims_asyncio.rs` runs this, and compares the quoted words with the book.
#
# Facts. CPython from 3.11 on. The clock is virtual unless a proof waits for something outside of the loop, so times are
# compared exactly, and take none. Sockets and threads are real.
# What it does not know: what other versions did (the lost wakes of chapter 12, the races of E13), what only figures show, and
# claims about uvloop, processes or free threading.

import asyncio
import concurrent.futures
import contextlib
import errno
import faulthandler
import gc
import logging
import os
import select
import selectors
import socket
import threading
import traceback
import warnings
from unittest import mock

PROOFS = {}

def claim(_chapter, _words):
    def keep(proof):
        PROOFS[proof.__name__] = proof
        return proof
    return keep

class Virtual(asyncio.SelectorEventLoop):
    """A loop that jumps to the next deadline, counts its looks at the kernel, and keeps what it complains about."""

    def __init__(self):
        super().__init__()
        self.clock, self.looks, self.complaints = 0.0, 0, []
        self.ask, self._selector.select = self._selector.select, self.look
        self.set_exception_handler(lambda _, context: self.complaints.append(context["message"]))

    def look(self, timeout):
        self.looks += 1
        found = self.ask(timeout and 0)
        self.clock += 0 if found else timeout or 0
        return found

    def time(self):
        return self.clock

def loop():
    return asyncio.get_running_loop()

def ms():
    return round(loop().time() * 1000, 3)

async def job(log, name, after, error=None):
    await asyncio.sleep(after / 1000)
    if error:
        raise error
    log.append(name)

async def cleans_up(log, name, after, error=None):
    try:
        await asyncio.sleep(3600)
    finally:
        await job(log, name, after, error)

@claim("01", "An `await` on a coroutine starts it and stays with it")
@claim("01", "`create_task` and `gather` start several")
@claim("19", "A bare coroutine in Python does the same. Only a task begins by itself.")
@claim("20", "If they all wait at once, the longest time counts.")
async def a_task_begins_and_a_coroutine_waits_for_its_await():
    first, second = asyncio.sleep(2), asyncio.sleep(1)
    await first, await second
    assert ms() == 3000
    first, second = asyncio.create_task(asyncio.sleep(2)), asyncio.create_task(asyncio.sleep(1))
    await first, await second
    assert ms() == 5000
    await asyncio.gather(*(asyncio.sleep(1) for _ in range(1000)))
    assert ms() == 6000

@claim("02", "which runs nothing, like our eggs. Python complains if you throw it away")
@claim("02", "all of them, whether or not they are needed after the `await`")
@claim("02", "each coroutine that it awaits has a frame of its own. The method `send` drives a coroutine")
@claim("20", "What is needed after the `await` is in the frame object")
def a_coroutine_is_inert_and_driven_by_send_and_keeps_all_in_its_frame():
    async def body():
        unneeded = 42
        await asyncio.sleep(0)
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        body()
        gc.collect()
    assert str(complaints[0].message).endswith("body' was never awaited")
    coroutine = body()
    coroutine.send(None)
    assert coroutine.cr_frame.f_locals == {"unneeded": 42}
    assert coroutine.cr_await.cr_frame is not coroutine.cr_frame
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
    assert coroutine.cr_frame is None

@claim("03", "then runs as many entries as the queue had *at that moment*")
@claim("17", "runs as many callbacks as were in its queue at *that* moment")
@claim("17", "With one task that always yields, that is one system call for each step")
async def a_pass_runs_what_was_queued_and_then_looks():
    looks = []

    def again():
        looks.append(loop().looks)
        if len(looks) < 100:
            loop().call_soon(again)
    begin = loop().looks
    again()
    while len(looks) < 100:
        await asyncio.sleep(0)
    assert looks == list(range(begin, begin + 100))

@claim("03", "Another thread has to use `call_soon_threadsafe`, which writes a byte into a socket that the loop reads")
@claim("09", "writes a byte into a socket pair each time, whether the loop sleeps or not")
async def a_note_is_a_byte_each():
    for _ in range(3):
        loop().call_soon_threadsafe(int)
    assert loop()._ssock.recv(100, socket.MSG_PEEK) == bytes(3)

@claim("06", "It may even collect a task that is referred to only by what the task waits for")
@claim("11", "And a task that nothing refers to may be collected before it is done")
@claim("19", "the loop has only a weak reference: the task may vanish")
@claim("from-asyncio", "a task that is garbage-collected while it runs")
async def a_task_that_nobody_holds_is_collected():
    async def waits():
        await loop().create_future()
    held = asyncio.create_task(waits())
    asyncio.create_task(waits())
    await asyncio.sleep(0)
    gc.collect()
    assert asyncio.all_tasks() == {held, asyncio.current_task()}
    assert loop().complaints == ["Task was destroyed but it is pending!"]

@claim("07", "awaiting a coroutine that does not wait for anything lets nothing else run")
@claim("20", "Otherwise it runs on, in Python as in Rust")
@claim("19", "| *yield* | `sleep(0)`: every task that is ready runs first |")
async def an_await_of_what_is_ready_gives_way_to_nobody():
    async def ready():
        pass

    async def letters(log, letter, pause):
        for _ in range(3):
            log.append(letter)
            await pause()
    for pause, order in [(ready, "aaabbb"), (lambda: asyncio.sleep(0), "ababab")]:
        log = []
        await asyncio.gather(letters(log, "a", pause), letters(log, "b", pause))
        assert "".join(log) == order

@claim("07", "It has no budget. A task that takes a thousand messages from a full `asyncio.Queue` takes them all in one go")
@claim("12", "Its queues have no limit unless you give one")
@claim("19", "no limit unless you give one")
@claim("19", "the least first, as with asyncio")
async def a_queue_has_no_budget_and_no_limit():
    queue = asyncio.PriorityQueue()
    for n in range(1000):
        queue.put_nowait(999 - n)
    other = asyncio.create_task(asyncio.sleep(0))
    looks = loop().looks
    for n in range(1000):
        assert await queue.get() == n
    assert loop().looks == looks and not other.done()

@claim("08", "leaves dead timers in it. When there are more than 100 timers and more than half of them are dead")
@claim("20", "Only if there are more than a hundred timers, and more than half of them are cancelled, does the loop remove all cancelled ones")
async def the_dead_stay_in_the_heap():
    for living, dead, left in [(1, 99, 100), (1, 100, 1), (60, 60, 120), (59, 61, 59)]:
        timers = [loop().call_later(n + 1, int) for n in range(living + dead)]
        for timer in timers[living:]:
            timer.cancel()
        await asyncio.sleep(0)
        assert len(loop()._scheduled) == left
        await asyncio.sleep(1000)

@claim("08", "A timeout of 100 ms around something that cleans up for 300 ms takes 400 ms")
@claim("10", "With a limit of 0.1 s and a cleanup of 0.3 s, it returned after 0.40 s")
@claim("19", "waits for the cleanup, however long")
@claim("20", "a limit of 0.1 s took 0.4 s")
async def a_timeout_waits_for_the_clean_up():
    log = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await cleans_up(log, "one", 300)
    assert ms() == 400
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(cleans_up(log, "two", 300), 0.1)
    assert ms() == 800 and log == ["one", "two"]

@claim("08", "It waits in `epoll_wait` with a limit in milliseconds")
@claim("04", "on Linux means epoll with levels")
@claim("04", "It waits for whole milliseconds, rounded up")
def epoll_has_levels_and_milliseconds():
    with selectors.DefaultSelector() as selector:
        near, far = socket.socketpair()
        far.send(b"x")
        selector._selector = spied = mock.Mock(wraps=selector._selector)
        selector.register(near, selectors.EVENT_READ)
        assert selector.select(0.0004) and selector.select(0.0012), "reported twice, and never read"
        assert [call.args[0] * 1000 for call in spied.poll.mock_calls] == [1, 2]

@claim("04", "with one `epoll_ctl` when that begins and another when it ends")
@claim("13", "Its `write` never waits. It puts the bytes into a buffer without a limit")
@claim("13", "`await writer.drain()` waits until most of that is gone")
async def a_write_never_waits_and_drain_does():
    near, far = socket.socketpair()
    loop()._selector._selector = spied = mock.Mock(wraps=loop()._selector._selector)
    _, writer = await asyncio.open_connection(sock=near)
    writer.write(bytes(10_000_000))
    assert writer.transport.get_write_buffer_size() > 8_000_000
    drained = asyncio.create_task(writer.drain())
    while not drained.done():
        far.recv(100_000)
        await asyncio.sleep(0)
    assert writer.transport.get_write_buffer_size() <= 16 * 1024
    while writer.transport.get_write_buffer_size():
        far.recv(100_000)
        await asyncio.sleep(0)
    fd, reads, writes = near.fileno(), select.EPOLLIN, select.EPOLLOUT
    asked = [call for call in spied.mock_calls if call.args[:1] == (fd,)]
    assert asked == [mock.call.register(fd, reads), mock.call.modify(fd, reads | writes), mock.call.modify(fd, reads)]

@claim("05", "So a reader that gives up loses nothing. The price is that the buffer needs limits: when it is too full, the loop stops reading")
async def a_reader_keeps_what_it_has_and_stops_when_it_is_full():
    near, far = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=near)
    far.send(b"half")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(reader.readexactly(8), 1)
    far.send(b"+all")
    assert await reader.readexactly(8) == b"half+all"
    while writer.transport.is_reading():
        far.send(bytes(50_000))
        await asyncio.sleep(0)
    assert len(await reader.read(1_000_000)) < 500_000
    assert writer.transport.is_reading()

@claim("10", "throws `CancelledError` into the task at its `await`, when the task runs next")
@claim("10", "It does not. It ends normally, and `cancelled()` says `False`")
@claim("10", "Only a loop around the `try` makes a zombie. We measured one: `cancel()` returned `True`, and five more rounds came")
@claim("19", "an exception at the `await`, which may be caught")
@claim("20", "It returns, so it ends. And then it says that it was *not* cancelled. To go on, a task needs a loop around the `except`.")
async def who_catches_a_cancel_ends_and_a_loop_does_not():
    async def catches(log, rounds):
        for _ in range(rounds):
            with contextlib.suppress(asyncio.CancelledError):
                await job(log, "round", 1)
            log.append("went on")
    for rounds in [1, 6]:
        log = []
        task = asyncio.create_task(catches(log, rounds))
        await asyncio.sleep(0)
        assert task.cancel() and log == []
        await asyncio.sleep(0)
        assert log == ["went on"] and task.done() == (rounds == 1)
        await asyncio.sleep(9)
        assert log.count("round") == rounds - 1 and task.done() and not task.cancelled()

@claim("10", "It comes too late: the cancelled `gather` in `main` has cancelled them already. And `main` counts as a task that was not cancelled")
@claim("11", "Only if `gather` *itself* is cancelled does it cancel its children")
@claim("20", "the children were gone before the loop that cancels them")
async def a_cancelled_gather_cancels_its_children():
    children = [asyncio.create_task(asyncio.sleep(9)) for _ in range(3)]

    async def main():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*children)
        return [child.cancelled() for child in children]
    task = asyncio.create_task(main())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == [True, True, True] and not task.cancelled()

@claim("11", "many texts say that `gather` cancels the others at the first error. It does not.")
@claim("11", "The error comes out after 50 ms, and after that both siblings print that they are done")
@claim("19", "| *gather*, one fails | the others go on |")
@claim("20", "`gather` reports the first error at once, and the others run on to their end")
async def gather_lets_the_others_run_on():
    log = []
    with contextlib.suppress(KeyError):
        await asyncio.gather(job(log, "one", 100), job(log, "two", 50, KeyError()), job(log, "three", 100))
    assert ms() == 50 and log == []
    await asyncio.sleep(1)
    assert log == ["one", "three"]

@claim("11", "waits until they have ended, and raises an `ExceptionGroup` with all errors")
@claim("20", "It is `TaskGroup` that cancels")
async def a_task_group_cancels_and_waits_and_has_all_errors():
    kinds = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(cleans_up([], "one", 100, ValueError()))
            group.create_task(job([], "two", 50, KeyError()))
    except ExceptionGroup as errors:
        kinds = [type(error) for error in errors.exceptions]
    assert kinds == [KeyError, ValueError] and ms() == 150

@claim("11", "A task whose exception is never fetched does not hurt the loop")
@claim("11", "never retrieved")
@claim("20", "The loop goes on, and asyncio complains when the task is collected as garbage")
@claim("from-asyncio", "a forgotten exception, reported at garbage collection")
async def an_error_that_nobody_fetched_is_told_of_at_collection():
    task = asyncio.create_task(job([], "lost", 1, KeyError()))
    await asyncio.sleep(1)
    assert task.done() and loop().complaints == []
    del task
    gc.collect()
    assert loop().complaints == ["Task exception was never retrieved"]

@claim("12", "a waiter that is cancelled after it was woken wakes the next one")
@claim("12", "`async with lock` does what the guard does")
@claim("19", "| *Mutex*, its holder panics | released |")
async def a_lock_is_never_lost():
    async def holds(lock):
        async with lock:
            raise KeyError
    for lock in [asyncio.Lock(), asyncio.Semaphore(1)]:
        await lock.acquire()
        woken, next_one = asyncio.create_task(holds(lock)), asyncio.create_task(holds(lock))
        await asyncio.sleep(0)
        lock.release()
        assert woken.cancel()
        await asyncio.wait([next_one], timeout=60)
        assert woken.cancelled() and isinstance(next_one.exception(), KeyError) and not lock.locked()

@claim("09", "The executor `None` means the default pool, which is a pool of *threads*, at most `min(32, cpus + 4)` of them")
@claim("20", "It uses a pool of threads.")
def the_default_pool_has_threads():
    async def main():
        thread = await loop().run_in_executor(None, threading.current_thread)
        other = await asyncio.to_thread(threading.current_thread)
        assert threading.main_thread() not in (thread, other)
        return loop()._default_executor
    pool = asyncio.run(main())
    cpus = getattr(os, "process_cpu_count", os.cpu_count)()
    assert isinstance(pool, concurrent.futures.ThreadPoolExecutor) and pool._max_workers == min(32, cpus + 4)

@claim("09", "The debug mode warns of callbacks that take more than 100 ms")
@claim("14", "`loop.slow_callback_duration` is for something else: it warns of a callback that holds the loop for too long")
@claim("20", "A task that awaits does not hold the thread. `time.sleep(0.15)` does, and causes a warning.")
async def debug_mode_warns_of_whoever_holds_the_thread():
    warned = []
    logging.getLogger("asyncio").addFilter(lambda record: warned.append(record.getMessage()))
    loop().set_debug(True)
    await asyncio.sleep(0.15)
    assert loop().slow_callback_duration == 0.1 and warned == []
    loop().clock += 0.15  # What `time.sleep` would do.
    await asyncio.sleep(0)
    assert len(warned) == 1 and warned[0].endswith("took 0.150 seconds")

@claim("13", "stops watching the listener when it runs out of descriptors, and tries again after one second")
async def a_listener_without_descriptors_pauses_for_a_second():
    class Full(socket.socket):
        def accept(self):
            tried.add(ms())
            raise OSError(errno.EMFILE, "no descriptor is left")
    tried, listener = set(), Full()
    listener.bind(("127.0.0.1", 0))
    await asyncio.start_server(print, sock=listener)
    with socket.create_connection(listener.getsockname()):
        await asyncio.sleep(0.5)
        assert listener.fileno() not in loop()._selector.get_map()
        await asyncio.sleep(2)
    assert tried == {0, 1000, 2000}

def main():
    faulthandler.dump_traceback_later(60, exit=True)  # A proof that hangs has failed, and this says which.
    for name, proof in PROOFS.items():
        try:
            if work := proof():
                with asyncio.Runner(loop_factory=Virtual) as runner:
                    runner.run(work)
            print(f"{name}: holds")
        except BaseException:
            traceback.print_exc()

main()
