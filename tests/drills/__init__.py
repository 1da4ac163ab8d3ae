"""Drills: something goes wrong many times over, and nothing may be lost.

    python -m tests.drills                    every drill at full length (`make drill`)
    python -m tests.drills kill_sft --short   one of them, a few times
    python -m tests.drills kill_sft --seed 7 --only 31   one trial again, as it was drawn

A drill is a function that yields what each of its trials came to. It stands in a module of this folder
whose name begins with `drill_`, and is found there:

    @drill("photos that are no photos, read", times=1000, short=20)
    def hostile_photos(session: Session) -> Iterator[Trial]:
        def one(attempt: Attempt) -> Trial:
            photo = broken_photo(attempt.chance, attempt.folder)
            return Trial(photo.kind, lost=tuple(what_went_wrong(photo)))

        yield from session.repeat(one)

`lost` has a sentence for everything that isn't as it has to be, and is empty when all is well; an
exception is lost, too. `aside` says why a trial doesn't count: what it wanted to try didn't come about. It is
done again, though what it lost counts. A trial that tries many things at once says how many with `tries`.
Whatever is random comes from `attempt.chance`, which the seed and the trial's number give, so that a failure
can be repeated. `attempt.folder` is the trial's own; it is removed unless something was lost. A `note` among
a trial's `figures` is printed below the table.

`short` is how often it is tried by `tests/drills/test_drills_short.py`, with `session.is_short` set; 0 leaves
it out there. The short forms of all drills have to be done in well under a minute.
"""
