"""Who the people are. What a person is like follows from the number alone, so that every run meets the same people.

Everybody is ordinary: the message is delivered and read. Two things make somebody else of a person.

By the last seven digits of the number, for tests that want a certain person (any country will do, for instance
+97250 999 0126 or +1 202 999 0126; numbers that are counted up from somewhere do not get there):

    last seven   habit         who
    9990126      off           is not on WhatsApp (131026)
    9990149      capped        had enough marketing from everybody today (131049)
    9990150      stopped       stopped this business's marketing long ago (131050)
    9990172      experiment    is part of an experiment (130472)
    9990116                    lives where the service is away: 131016, always in the answer
    9990100                    is unlucky once: 131000 in the answer the first time, then accepted
    9990103                    is unlucky three times
    9990201      reply         answers with a few words
    9990202      stop          answers STOP, in a language of the country
    9990203      comes_back    answers STOP, and START a while later
    9990204      tap           taps the first quick reply of the template
    9990205      tap_bare      does so, and the webhook has no context
    9990206      opt_out       stops marketing in WhatsApp's own menu (user_preferences), then 131050
    9990207      block         blocks the business, which lowers the quality; 131026 from then on
    9990208      only_read     has the chat open: `read` comes, `delivered` never
    9990209      slow          has a slow device: everything comes late
    9990210      silent        has the telephone off: `sent`, and nothing more
    9990211      unread        never opens the chat: `delivered`, and nothing more
    9990212      hidden        answers STOP, and webhooks of it carry a user id and no phone number

By chance, decided by the seed and the number: a share for each habit (`off=0.02,stop=0.01`).

What a person will not take (131026, 131049, 131050, 130472) is told by webhook after the message was accepted, as
the Cloud API does, where there is a webhook. Without one nobody could hear of it, so there it is told in the answer.
"""

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Final

import msgspec

from server.simulator.faults import Probability
from server.simulator.pairs_of_text import struct_from_text

WINDOW_SECONDS: Final = 24 * 3600.0
TOLD_BY_WEBHOOK: Final = frozenset({131026, 131049, 131050, 130472})


class Reaction(Enum):
    """What a person does after reading."""

    REPLY = auto()
    STOP = auto()
    TAP = auto()
    TAP_BARE = auto()
    OPT_OUT = auto()
    BLOCK = auto()


class Habit(msgspec.Struct, frozen=True):
    """What a kind of person does with a message."""

    code: int | None = None
    """The error code that it ends with; None where it is taken."""
    times: int | None = None
    """How often the API answers so before it accepts; None is always."""
    delivered: bool = True
    read: bool = True
    slow: bool = False
    reaction: Reaction | None = None
    comes_back: bool = False
    hidden: bool = False


ORDINARY: Final = Habit()
HABITS: Final[Mapping[str, Habit]] = {
    "off": Habit(code=131026),
    "capped": Habit(code=131049),
    "stopped": Habit(code=131050),
    "experiment": Habit(code=130472),
    "reply": Habit(reaction=Reaction.REPLY),
    "stop": Habit(reaction=Reaction.STOP),
    "comes_back": Habit(reaction=Reaction.STOP, comes_back=True),
    "tap": Habit(reaction=Reaction.TAP),
    "tap_bare": Habit(reaction=Reaction.TAP_BARE),
    "opt_out": Habit(reaction=Reaction.OPT_OUT),
    "block": Habit(reaction=Reaction.BLOCK),
    "only_read": Habit(delivered=False),
    "slow": Habit(slow=True),
    "silent": Habit(delivered=False, read=False),
    "unread": Habit(read=False),
    "hidden": Habit(reaction=Reaction.STOP, hidden=True),
}

BY_LAST_SEVEN_DIGITS: Final[Mapping[str, Habit]] = {
    "9990126": HABITS["off"],
    "9990149": HABITS["capped"],
    "9990150": HABITS["stopped"],
    "9990172": HABITS["experiment"],
    "9990116": Habit(code=131016),
    "9990100": Habit(code=131000, times=1),
    "9990103": Habit(code=131000, times=3),
    "9990201": HABITS["reply"],
    "9990202": HABITS["stop"],
    "9990203": HABITS["comes_back"],
    "9990204": HABITS["tap"],
    "9990205": HABITS["tap_bare"],
    "9990206": HABITS["opt_out"],
    "9990207": HABITS["block"],
    "9990208": HABITS["only_read"],
    "9990209": HABITS["slow"],
    "9990210": HABITS["silent"],
    "9990211": HABITS["unread"],
    "9990212": HABITS["hidden"],
}


class Shares(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of the people have which habit, from 0 to 1; everybody else is ordinary."""

    off: Probability = 0.0
    capped: Probability = 0.0
    stopped: Probability = 0.0
    experiment: Probability = 0.0
    reply: Probability = 0.0
    stop: Probability = 0.0
    comes_back: Probability = 0.0
    tap: Probability = 0.0
    tap_bare: Probability = 0.0
    opt_out: Probability = 0.0
    block: Probability = 0.0
    only_read: Probability = 0.0
    slow: Probability = 0.0
    silent: Probability = 0.0
    unread: Probability = 0.0
    hidden: Probability = 0.0

    def __post_init__(self) -> None:
        if sum(share for _, share in self.given()) > 1 + 1e-9:
            raise ValueError("the shares of the habits together must not exceed 1")

    def given(self) -> Iterator[tuple[str, float]]:
        """Habits that anybody has, with their shares."""
        return ((name, share) for name in HABITS if (share := float(getattr(self, name))) > 0)


def shares_from_text(text: str) -> Shares:
    """Read `off=0.02,stop=0.01` or the same as a JSON object. Raises ValueError with what is wrong."""
    return struct_from_text(text, Shares)


class People:
    """Everybody the simulator can reach, and what they have decided for themselves since."""

    def __init__(self, seed: int, shares: Shares, time_scale: float = 1.0) -> None:
        self._seed = seed
        self._window_seconds = WINDOW_SECONDS / time_scale
        self.shares = shares
        self._refused: Counter[str] = Counter()
        self.left: set[str] = set()
        """Those who stopped marketing in WhatsApp's own menu."""
        self.blocking: set[str] = set()
        """Those who blocked the business."""
        self._wrote_at: dict[str, float] = {}
        self._by_user_id: dict[str, str] = {}

    def wrote(self, wa_id: str, now: float) -> None:
        """This person wrote to the business, which opens a service window."""
        self._wrote_at[wa_id] = now

    def has_window(self, wa_id: str, now: float) -> bool:
        """Whether this person wrote within the last 24 hours (by Meta's clock)."""
        at = self._wrote_at.get(wa_id)
        return at is not None and now - at < self._window_seconds

    def known_as(self, user_id: str, wa_id: str) -> None:
        """Webhooks have told this user id; who writes to it writes to this person."""
        self._by_user_id[user_id] = wa_id

    def behind(self, user_id: str) -> str:
        """The person with this user id: a WhatsApp id, or the user id itself where it was never told."""
        return self._by_user_id.get(user_id, user_id)

    @property
    def shares(self) -> Shares:
        """How many have which habit."""
        return self._shares

    @shares.setter
    def shares(self, shares: Shares) -> None:
        self._shares = shares
        reached = 0.0
        ladder = []
        for name, share in shares.given():
            reached += share
            ladder.append((reached, HABITS[name]))
        self._ladder = tuple(ladder)

    def habit_of(self, wa_id: str) -> Habit:
        """What this person is like: the same for the same seed, however often and in whatever order it is asked."""
        habit = BY_LAST_SEVEN_DIGITS.get(wa_id[-7:])
        if habit is not None:
            return habit
        if self._ladder:
            share = _share_of(self._seed, wa_id)
            for reached, kind in self._ladder:
                if share < reached:
                    return kind
        return ORDINARY

    def refusal(self, wa_id: str, habit: Habit, *, webhook: bool) -> int | None:
        """The code that answers one message to this person, None where it is accepted. Counts the attempt.

        webhook: whether there is one, for what is told by webhook.
        """
        if habit.code is None or (webhook and habit.code in TOLD_BY_WEBHOOK):
            return None
        if habit.times is not None:
            if self._refused[wa_id] >= habit.times:
                return None
            self._refused[wa_id] += 1
        return habit.code

    def failure(self, wa_id: str, habit: Habit, *, marketing: bool) -> int | None:
        """The code that a message fails with after it was accepted, None where it does not."""
        if wa_id in self.blocking:
            return 131026  # Meta does not tell that it is a block
        if marketing and wa_id in self.left:
            return 131050
        return habit.code if habit.code in TOLD_BY_WEBHOOK else None


def _share_of(seed: int, wa_id: str) -> float:
    """A number from 0 to below 1 that stays with this person under this seed."""
    return zlib.crc32(f"{seed}:{wa_id}".encode()) / 2**32
