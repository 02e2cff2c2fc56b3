"""Policies as people write them, in both directions.

    all_of(
      level_at_least(4),
      tee_in(tdx, sev_snp),
      any_of(customer_in(bocc1...), purpose_is(research)),
      not(software_in(boccres1...:3)),
    )

The names are those that the interface shows. What follows # in a line is a comment; no text is a policy that always holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from bocc.errors import InputReason, InputRejected
from state.address import HUMAN_PREFIX, AddressKind, AddressRejected, format_address, parse_address
from state.policies import (
    AdvisoryNotIn,
    AllOf,
    AnyOf,
    BetweenHeights,
    Condition,
    CustomerIn,
    Endorsed,
    HardwareIn,
    HasGpus,
    LevelAtLeast,
    Not,
    OutputParty,
    OutputTo,
    PolicyNode,
    PurposeIs,
    ReleaseName,
    SoftwareIn,
    SubjectKind,
    TeeIn,
    UsesAtMost,
    WithDataIn,
    is_well_formed,
)
from state.policy_words import NAMES, ListedNode, list_policy
from tee.evidence import EvidenceKind

TEXT_CHARS_MAX: Final = 100_000
_TOKEN: Final = re.compile(r"(?:\s|#[^\n]*)+|([A-Za-z0-9_.:/-]+|[(),])", re.ASCII)
_GROUPS: Final = {NAMES[AllOf], NAMES[AnyOf], NAMES[Not]}
Names = Callable[[str], bytes]
"""Gives the account that a word names."""


class _Reader:
    """The words of a text, one after the other."""

    def __init__(self, text: str) -> None:
        self._words = list(_split(text))
        self._index = 0

    @property
    def is_at_end(self) -> bool:
        """Whether all words are taken."""
        return self._index >= len(self._words)

    def look(self) -> str:
        """Return the next word without taking it; none at the end."""
        return "" if self.is_at_end else self._words[self._index][0]

    def take(self) -> str:
        """Return the next word."""
        word = self.look()
        self._index += 1
        return word

    def expect(self, wanted: str) -> None:
        """Take a word that must be this one."""
        seen = self.look()
        if seen != wanted:
            raise self.refuse(seen or "the end", f"{wanted!r}")
        self.take()

    def refuse(self, seen: str, bound: str) -> InputRejected:
        """Return the refusal of a word, with the line that it is on."""
        line = self._words[min(self._index, len(self._words) - 1)][1] if self._words else 1
        return InputRejected(InputReason.BAD_POLICY, f"{seen} in line {line}", bound)


def _split(text: str) -> Iterator[tuple[str, int]]:
    """Yield words and signs with the number of their line."""
    if len(text) > TEXT_CHARS_MAX:
        raise InputRejected(InputReason.BAD_POLICY, f"{len(text)} characters", TEXT_CHARS_MAX)
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InputRejected(InputReason.BAD_POLICY, f"{text[position]!r} in line {line}", "a name, or one of ( ) ,")
        if match[1]:
            yield match[1], line
        line += match[0].count("\n")
        position = match.end()


def parse_policy(text: str, names: Names = parse_address) -> tuple[PolicyNode, ...]:
    """Return the nodes of a policy in prefix order; `names` gives accounts by word, by default by their address alone.

    Raises:
        InputRejected: BAD_POLICY with the line, and what would do.
    """
    reader = _Reader(text)
    if reader.is_at_end:
        return ()
    policy = tuple(_parse_node(reader, names, 1))
    if not reader.is_at_end:
        raise reader.refuse(reader.look(), "the end; join several conditions by all_of(...) or any_of(...)")
    if not is_well_formed(policy):
        bound = "at most 4 levels, 32 conditions, 8 of them endorsed(...)"
        raise InputRejected(InputReason.BAD_POLICY, f"{len(policy)} nodes", bound)
    return policy


_DEPTH_READ_MAX: Final = 16
"""More than any policy has; what is deeper is refused before it is read to its end."""


def _parse_node(reader: _Reader, names: Names, depth: int) -> list[PolicyNode]:
    """Return a node with all below it."""
    name = reader.look()
    if name not in _GROUPS and name not in _CONDITIONS:
        raise reader.refuse(name or "the end", f"one of {', '.join((*sorted(_GROUPS), *_CONDITIONS))}")
    if depth > _DEPTH_READ_MAX:
        raise reader.refuse(name, "at most 4 levels")
    reader.take()
    reader.expect("(")
    if name in _CONDITIONS:
        return [_parse_condition(reader, name, names)]
    children: list[list[PolicyNode]] = []
    while reader.look() != ")":
        children.append(_parse_node(reader, names, depth + 1))
        if reader.look() != ")":
            reader.expect(",")
    below = [node for child in children for node in child]
    if not children or (name == NAMES[Not] and len(children) != 1):
        raise reader.refuse(f"{name} of {len(children)}", "one condition" if name == NAMES[Not] else "one or more")
    reader.expect(")")
    if name == NAMES[Not]:
        return [Not(), *below]
    group = AllOf(count=len(children)) if name == NAMES[AllOf] else AnyOf(count=len(children))
    return [group, *below]


def _parse_condition(reader: _Reader, name: str, names: Names) -> Condition:
    words: list[str] = []
    while reader.look() != ")":
        words.append(reader.take())
        if reader.look() != ")":
            reader.expect(",")
    build, usage = _CONDITIONS[name]
    try:
        condition = build(words, names)
        # Structs do not check their bounds when they are built; converting one does.
        plain = msgspec.to_builtins(condition, builtin_types=(bytes,))
        condition = msgspec.convert(plain, type(condition))
    except (ValueError, KeyError, IndexError, AddressRejected, msgspec.ValidationError) as error:
        raise reader.refuse(f"{name}({', '.join(words)})", f"{usage}: {error}") from error
    reader.expect(")")
    return condition


def _resource(word: str) -> bytes:
    return parse_address(word, HUMAN_PREFIX[AddressKind.RESOURCE], AddressKind.RESOURCE)


def _release(word: str) -> ReleaseName:
    address, _, number = word.partition(":")
    return ReleaseName(resource=_resource(address), release=int(number) if number else None)


def _only(words: list[str]) -> str:
    """Return the one word of a condition that takes one."""
    (word,) = words
    return word


def _exactly(words: list[str], count: int) -> list[str]:
    if len(words) != count:
        raise ValueError(f"{len(words)} given")
    return words


def _endorsed(words: list[str], names: Names) -> Endorsed:
    subject, endorser, claim = _exactly(words, 3)
    return Endorsed(subject=SubjectKind[subject.upper()], endorser=names(endorser), claim=claim)


def _between(words: list[str]) -> BetweenHeights:
    first, last = _exactly(words, 2)
    return BetweenHeights(first=int(first), last=int(last))


_CONDITIONS: Final[dict[str, tuple[Callable[[list[str], Names], Condition], str]]] = {
    NAMES[CustomerIn]: (
        lambda words, names: CustomerIn(accounts=tuple(map(names, words))),
        "accounts",
    ),
    NAMES[SoftwareIn]: (
        lambda words, _: SoftwareIn(releases=tuple(map(_release, words))),
        "resources, each as boccres1... or boccres1...:RELEASE",
    ),
    NAMES[WithDataIn]: (lambda words, _: WithDataIn(resources=tuple(map(_resource, words))), "resources"),
    NAMES[HardwareIn]: (lambda words, _: HardwareIn(resources=tuple(map(_resource, words))), "resources"),
    NAMES[TeeIn]: (
        lambda words, _: TeeIn(kinds=tuple(int(EvidenceKind[word.upper()]) for word in words)),
        "some of sgx, tdx, sev_snp, nitro",
    ),
    NAMES[LevelAtLeast]: (lambda words, _: LevelAtLeast(level=int(_only(words))), "a level from 0 to 5"),
    NAMES[AdvisoryNotIn]: (
        lambda words, _: AdvisoryNotIn(advisories=tuple(words)),
        "names such as INTEL-SA-00615",
    ),
    NAMES[HasGpus]: (lambda words, _: HasGpus(count=int(_only(words))), "a number from 1 to 64"),
    NAMES[Endorsed]: (
        _endorsed,
        "what (platform, release, enclave, resource, account), an account, a claim",
    ),
    NAMES[UsesAtMost]: (lambda words, _: UsesAtMost(count=int(_only(words))), "a number"),
    NAMES[BetweenHeights]: (lambda words, _: _between(words), "first and last height"),
    NAMES[OutputTo]: (
        lambda words, _: OutputTo(party=OutputParty[_only(words).upper()]),
        "customer, owner or both",
    ),
    NAMES[PurposeIs]: (lambda words, _: PurposeIs(purpose=_only(words)), "a word such as research"),
}
"""How each condition is read, and what it takes."""


def format_policy(policy: tuple[PolicyNode, ...]) -> str:
    """Return a well-formed policy as a text that `parse_policy` reads back; no text for one without conditions."""
    listed = list_policy(policy)
    return "" if listed is None else "\n".join(_format_listed(listed, 0))


def _format_listed(listed: ListedNode, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if not listed.children:
        yield f"{indent}{listed.name}({', '.join(_words_of(listed.node))})"
        return
    yield f"{indent}{listed.name}("
    for child in listed.children:
        *above, last = _format_listed(child, depth + 1)
        yield from above
        yield f"{last},"
    yield f"{indent})"


def _words_of(node: PolicyNode) -> Iterator[str]:
    """Yield what a condition takes."""
    match node:
        case CustomerIn(accounts=addresses) | WithDataIn(resources=addresses) | HardwareIn(resources=addresses):
            yield from map(format_address, addresses)
        case SoftwareIn(releases=releases):
            for each in releases:
                yield format_address(each.resource) + ("" if each.release is None else f":{each.release}")
        case TeeIn(kinds=kinds):
            yield from (EvidenceKind(kind).name.lower() for kind in kinds)
        case LevelAtLeast(level=number) | HasGpus(count=number) | UsesAtMost(count=number):
            yield str(number)
        case AdvisoryNotIn(advisories=advisories):
            yield from advisories
        case Endorsed(subject=subject, endorser=endorser, claim=claim):
            yield from (subject.name.lower(), format_address(endorser), claim)
        case BetweenHeights(first=first, last=last):
            yield from (str(first), str(last))
        case OutputTo(party=party):
            yield party.name.lower()
        case PurposeIs(purpose=purpose):
            yield purpose
        case AllOf() | AnyOf() | Not():
            return


def format_told_policy(told: Mapping[str, Any] | None) -> str:
    """Return a policy of a node's JSON, a tree of nodes with their fields, as such a text."""
    return "" if told is None else "\n".join(_format_told(told, 0))


def _format_told(told: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    if not told["children"]:
        words = (word for name, field in told["node"].items() if name != "kind" for word in _told_words(field))
        yield f"{indent}{told['name']}({', '.join(words)})"
        return
    yield f"{indent}{told['name']}("
    for child in told["children"]:
        *above, last = _format_told(child, depth + 1)
        yield from above
        yield f"{last},"
    yield f"{indent})"


def _told_words(field: Any) -> Iterator[str]:
    """Yield what a field holds, as a text says it; a release stands after its resource."""
    if isinstance(field, list):
        for part in field:
            yield from _told_words(part)
    elif isinstance(field, Mapping):
        yield field["resource"] if field["release"] is None else f"{field['resource']}:{field['release']}"
    else:
        yield str(field)
