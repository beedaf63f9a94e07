"""What can go wrong with a session: each function makes an `Edit` of its lines."""

from random import Random

from loggen.workflow import Chain, Edit, Part, Say, walk


def breaks(steps: tuple[str, ...], symptom: Part, ending: Part | None = None) -> Edit:
    """At one of the steps the symptom appears in its place; the rest of the session is replaced by `ending`."""

    def edit(says: list[Say], dice: Random) -> list[Say] | None:
        places = [index for index, say in enumerate(says) if say.step in steps]
        if not places:
            return None
        return [*says[: dice.choice(places)], *walk(symptom, dice), *walk(ending or Chain(()), dice)]

    return edit


def disturbs(steps: tuple[str, ...], symptom: Part) -> Edit:
    """After one of the steps the symptom appears, and the session goes on as if nothing were."""

    def edit(says: list[Say], dice: Random) -> list[Say] | None:
        places = [index for index, say in enumerate(says) if say.step in steps]
        if not places:
            return None
        place = dice.choice(places) + 1
        return [*says[:place], *walk(symptom, dice), *says[place:]]

    return edit


def overtakes(late: str, early: str) -> Edit:
    """The step `late`, which always follows `early`, comes just before it: normal lines in the wrong order."""

    def edit(says: list[Say], dice: Random) -> list[Say] | None:
        del dice
        steps = [say.step for say in says]
        if early not in steps or late not in steps or steps.index(late) < steps.index(early):
            return None
        moved = says[steps.index(late)]
        rest = [say for index, say in enumerate(says) if index != steps.index(late)]
        place = steps.index(early)
        return [*rest[:place], moved, *rest[place:]]

    return edit


def storms(steps: tuple[str, ...], low: int, high: int) -> Edit:
    """The run of the given steps comes again `low` to `high` times: normal lines in the wrong number."""

    def edit(says: list[Say], dice: Random) -> list[Say] | None:
        found = [step for step in (say.step for say in says) if step in steps]
        if not found or found[0] != steps[0]:
            return None
        place = max(index for index, say in enumerate(says) if say.step in steps) + 1
        by_step = {say.step: say for say in says}
        again = [by_step[step] for step in steps if step in by_step] * dice.randint(low, high)
        return [*says[:place], *again, *says[place:]]

    return edit


def skips(step: str) -> Edit:
    """A step that every such session has is not there: nothing is said, one line is missing."""

    def edit(says: list[Say], dice: Random) -> list[Say] | None:
        del dice
        rest = [say for say in says if say.step != step]
        return rest if len(rest) < len(says) else None

    return edit
