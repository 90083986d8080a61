"""What is done to a run: each act by chance of the seed, and what puts it right again later."""

from __future__ import annotations

import heapq
import itertools
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from chaos.progress import Progress
from chaos.proxy import Proxy
from chaos.replica import BACK, FORTH
from chaos.replicas import Replica, Replicas
from chaos.servers import Server

FROZEN_SECONDS = (17.0, 25.0)
"""Longer than a lease (15 s) and than a group's session (10 s)."""
CUT_ONE_SECONDS = (12.0, 18.0)
CUT_ALL_SECONDS = (2.0, 8.0)
SKEWED_SECONDS = (15.0, 30.0)
SERVER_DOWN_SECONDS = (0.0, 3.0)
FILL_EVERY = 0.5


class Mischief:
    """Deals acts from a deck that holds each kind; when it is through, the deck is shuffled anew."""

    def __init__(
        self,
        replicas: Replicas,
        servers: list[Server],
        proxy: Proxy,
        dice: random.Random,
        progress: Progress,
    ) -> None:
        self._progress = progress
        self._replicas = replicas
        self._servers = {server.name: server for server in servers}
        self._proxy = proxy
        self._dice = dice
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="mischief")
        self._down: set[str] = set()
        self._errors: list[BaseException] = []
        self._deck: list[Callable[[], None]] = []
        self._filled_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """However the run ends, a server that is just being started is there before all are killed."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def tick(self) -> None:
        """Do what is due of what was put off, and keep every service at its number of replicas."""
        if self._errors:
            raise self._errors[0]
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()
        if not self._down and time.monotonic() - self._filled_at >= FILL_EVERY:
            self._filled_at = time.monotonic()
            self._replicas.fill()

    def act(self) -> None:
        """The next act of the deck. A run that goes on deals a new one."""
        if not self._deck:
            self._deck = [
                *[self.kill_a_replica] * 4,
                *[self.freeze_a_replica] * 2,
                self.kill_a_service,
                self.kill_the_broker,
                self.kill_everything,
                self.add_and_remove_a_replica,
                self.roll_a_service,
                self.cut_the_network,
                self.cut_a_replica_off,
                self.put_a_clock_forward,
                self.put_a_clock_back,
                *([self.kill_the_database] if "mongo" in self._servers else []),
            ]
            self._dice.shuffle(self._deck)
        self._deck.pop()()
        self._progress.decks += not self._deck
        self._progress.save()

    @property
    def has_victims(self) -> bool:
        """Whether anybody lives to whom something can be done."""
        return bool(self._victims())

    def calm(self) -> None:
        """End all that is going on, and put everything right."""
        while self._later:
            heapq.heappop(self._later)[2]()
        self._pool.shutdown(wait=True)
        if self._errors:
            raise self._errors[0]
        self._replicas.fill()

    def kill_a_replica(self) -> None:
        """kill -9 of one process."""
        victim = self._anyone()
        self._say("kill", victim.service)
        self._kill(victim)

    def kill_a_service(self) -> None:
        """kill -9 of all replicas of a service."""
        service = self._dice.choice(self._replicas.services)
        self._say("kill service", service)
        self._kill(*self._replicas.of(service))

    def kill_the_broker(self) -> None:
        """kill -9 of Kafka, which is started again on its data."""
        self._kill_server("kafka")

    def kill_the_database(self) -> None:
        """kill -9 of the database, which is started again on its data."""
        self._kill_server("mongo")

    def kill_everything(self) -> None:
        """kill -9 of all services, the broker and the database at the same time."""
        self._say("kill everything", "all services and servers")
        for name in self._servers:
            self._kill_server(name)
        self._kill(*self._replicas.all)

    def freeze_a_replica(self) -> None:
        """SIGSTOP, and SIGCONT when its membership and its leases are lost."""
        victim = self._anyone()
        seconds = self._dice.uniform(*FROZEN_SECONDS)
        self._say("freeze", f"{victim.service} for {seconds:.0f} s")
        victim.stopped = True
        victim.signal(signal.SIGSTOP)

        def thaw() -> None:
            victim.signal(signal.SIGCONT)
            victim.stopped = False

        self._put_off(seconds, thaw)

    def add_and_remove_a_replica(self) -> None:
        """A third replica of a service joins; some seconds later one of the three leaves."""
        service = self._dice.choice(self._replicas.services)
        self._say("add and remove", service)
        self._replicas.add(service)

        def leave() -> None:
            there = [each for each in self._replicas.of(service) if not each.stopped]
            if len(there) > 2:
                self._in_background(lambda: self._end(there[0]))

        self._put_off(self._dice.uniform(4, 8), leave)

    def roll_a_service(self) -> None:
        """Replace each replica of a service in turn: SIGTERM, then a new one."""
        service = self._dice.choice(self._replicas.services)
        self._say("roll", service)
        old = [each for each in self._replicas.of(service) if not each.stopped]

        def roll() -> None:
            for each in old:
                self._end(each)
                self._replicas.add(service)

        self._in_background(roll)

    def cut_the_network(self) -> None:
        """Nothing reaches the broker for a while: lost, or refused."""
        reset, seconds = self._dice.random() < 0.5, self._dice.uniform(*CUT_ALL_SECONDS)
        self._say("cut the network", f"for {seconds:.0f} s{', with resets' if reset else ''}")
        self._proxy.cut(reset=reset)
        self._put_off(seconds, self._proxy.heal)

    def cut_a_replica_off(self) -> None:
        """One replica does not reach the broker, and loses its membership; the database it does reach."""
        victim, seconds = self._anyone(), self._dice.uniform(*CUT_ONE_SECONDS)
        self._say("cut off", f"{victim.service} for {seconds:.0f} s")
        self._proxy.cut([victim.pid])
        self._put_off(seconds, self._proxy.heal)

    def put_a_clock_forward(self) -> None:
        """A replica's clock jumps an hour forth."""
        self._skew(FORTH, BACK, "forth")

    def put_a_clock_back(self) -> None:
        """A replica's clock jumps an hour back."""
        self._skew(BACK, FORTH, "back")

    def _skew(self, there: int, back: int, way: str) -> None:
        victim, seconds = self._anyone(), self._dice.uniform(*SKEWED_SECONDS)
        self._say("clock", f"{victim.service} an hour {way} for {seconds:.0f} s")
        victim.signal(there)
        self._put_off(seconds, lambda: victim.signal(back))

    def _anyone(self) -> Replica:
        return self._dice.choice(self._victims())

    def _victims(self) -> list[Replica]:
        return [each for each in self._replicas.all if each.alive and not each.stopped]

    def _kill(self, *victims: Replica) -> None:
        self._progress.kills += len(victims)
        self._replicas.kill(*victims)

    def _kill_server(self, name: str) -> None:
        if name in self._down:
            return
        seconds = self._dice.uniform(*SERVER_DOWN_SECONDS)
        self._say("kill server", f"{name}, down for {seconds:.0f} s")
        self._down.add(name)
        self._progress.kills += 1
        self._servers[name].kill()

        def start() -> None:
            self._servers[name].start()
            self._down.discard(name)

        self._put_off(seconds, lambda: self._in_background(start))

    def _end(self, leaver: Replica) -> None:
        if self._replicas.end(leaver):
            self._tell(f"{leaver.service} did not end in time after SIGTERM")

    def _put_off(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), act))

    def _in_background(self, act: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                act()
            except BaseException as error:
                self._errors.append(error)

        self._pool.submit(guarded)

    def _say(self, what: str, whom: str) -> None:
        self._progress.acts[what] += 1
        self._tell(f"{what}: {whom}")

    def _tell(self, what: str) -> None:
        print(f"{self._progress.seconds:5.0f} s  {what}", flush=True)
