"""A service that falls silent is given up within seconds; one that loads a model is waited for."""

import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import pytest
import tinker

from geospot.errors import ModelNotFoundError, UnreachableError
from geospot.services import Service, ServiceOptions, connection, open_service, waiting
from geospot.services.archive import RemoteArchive
from geospot.services.endpoint import NO_KEY, Endpoint
from geospot_backends.local.checkpoints import CheckpointStore
from geospot_backends.local.server import EmbeddedServer
from tests.support.evaluating import start_geospot, wait_for
from tests.support.holding import Front, front_of
from tests.support.scripted_engine import BASE, ScriptedEngine

pytestmark = [
    pytest.mark.filterwarnings("error::DeprecationWarning"),
    pytest.mark.filterwarnings("error::FutureWarning"),
]

SAMPLER = "tinker://run/sampler_weights/final"


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(saved={SAMPLER, "tinker://run/weights/final"})


@pytest.fixture
def front(engine: ScriptedEngine, tmp_path: Path) -> Iterator[Front]:
    with (
        EmbeddedServer(engine, CheckpointStore(tmp_path)) as server,
        front_of(server.base_url) as standing,
    ):
        yield standing


class Clock:
    """A clock that can be put forward: what takes long then takes no time of the machine."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead_s

    def forward(self, seconds: float) -> None:
        self._ahead_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What an allowance of 100 s is charged by."""
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    monkeypatch.setattr(waiting, "SETUP_S", 100.0)
    return clock


@pytest.fixture
def impatient(front: Front, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The allowance is used up as soon as a request is held, and never before, also on a busy machine."""
    front.keeps = lambda: clock.forward(200)
    monkeypatch.setattr(connection, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(connection, "_CHECK_EVERY_S", 0.1)


def sampled(service: Service) -> object:
    return service.sampler(path=SAMPLER)


def trained(service: Service) -> object:
    return service.trainer(BASE, rank=4)


def trained_on(service: Service) -> object:
    return service.trainer_from("tinker://run/weights/final", optimizer=True)


def asked(service: Service) -> object:
    return service.models()


def listed(service: Service) -> object:
    return RemoteArchive(service).all()


def exported(service: Service) -> object:
    folder = Path(mkdtemp(prefix="export-"))
    return RemoteArchive(service).export("tinker://run/weights/final", folder)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("held", "do", "about"),
    [
        ("capabilities", asked, "which models it serves"),
        ("create_session", sampled, "to open a session"),
        ("create_sampling_session|capabilities", sampled, f"for {SAMPLER} to sample from"),
        ("samplers/|capabilities", sampled, f"for {SAMPLER} to sample from"),
        ("retrieve_future|capabilities", trained, f"for {BASE} to train"),
        ("create_model|capabilities", trained, f"for {BASE} to train"),
        ("load_weights|capabilities", trained_on, "for tinker://run/weights/final to train"),
        ("/checkpoints", listed, "for its checkpoints"),
        ("weights_external|capabilities", exported, "for the files of tinker://run/weights/final"),
    ],
)
def test_a_service_that_falls_silent_is_given_up_at_every_step(
    front: Front, held: str, do: Callable[[Service], object], about: str
) -> None:
    front.held = held
    began = time.monotonic()
    with (
        pytest.raises(UnreachableError, match=f"is there, but has kept us.*asked {about}"),
        open_service(front.url) as service,
    ):
        do(service)
    assert time.monotonic() - began < 60  # the SDK alone would try for minutes


@pytest.mark.usefixtures("impatient")
def test_one_that_answers_nothing_but_its_health_is_given_up_by_the_probe(front: Front) -> None:
    front.held = "/api/v1/(?!healthz)"
    with pytest.raises(UnreachableError, match=r"Nothing answers.*silent"):
        open_service(front.url)


def test_the_program_ends_within_ten_seconds_in_one_sentence(front: Front) -> None:
    """Ten seconds from its first request on, beside what it computes and what it waits for a processor."""
    front.held = "create_sampling_session|capabilities"
    program = start_geospot(
        "eval", "--backend", "tinker", "--base-url", front.url, "--model", SAMPLER
    )
    while not front.passed and program.poll() is None:
        time.sleep(0.01)
    began = time.monotonic()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    before_s = queued_s = _queued_s(program.pid)
    while program.poll() is None:
        queued_s = max(queued_s, _queued_s(program.pid))
        time.sleep(0.1)  # of each thread's last tenth of a second nobody knows
    waited_s = time.monotonic() - began
    _, said = program.communicate()
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    computed_s = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    assert front.passed
    assert waited_s < 10 + computed_s + (queued_s - before_s)
    assert program.returncode == 1, said
    assert "has kept us waiting for 7 s" in said
    assert "Traceback" not in said


def _queued_s(pid: int) -> float:
    """How long its threads and this process's could have run and had no processor; 0 if nothing says so."""
    queued_s = 0.0
    for process in (str(pid), "self"):
        for file in Path("/proc", process, "task").glob("*/schedstat"):
            with suppress(OSError):  # a thread has ended
                queued_s += int(file.read_text().split()[1]) / 1e9
    return queued_s


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("do", [sampled, trained])
def test_a_model_that_loads_is_waited_for_and_the_person_told(
    front: Front,
    engine: ScriptedEngine,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    do: Callable[[Service], object],
) -> None:
    monkeypatch.setattr(connection, "time", clock)
    monkeypatch.setattr(connection, "_TELL_EVERY_S", 3600.0)
    engine.hold.set()
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        clock.forward(200)  # well beyond the allowance
        threading.Timer(0.5, engine.hold.clear).start()

    with open_service(front.url, ServiceOptions(tell=hear)) as service:
        assert isinstance(do(service), tinker.SamplingClient | tinker.TrainingClient)
    assert len(said) == 1  # not once a check
    assert said[0].startswith("Waiting for ")
    assert "is loading it or busy" in said[0]


@pytest.fixture
def started_here(front: Front, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`local` is behind the front, and has more time than others; how it died, once that is in the list."""
    deaths: list[str] = []
    endpoint = Endpoint(
        "local",
        front.url,
        NO_KEY,
        died=lambda: deaths[0] if deaths else None,
        patience_s=600.0,
    )

    def load(*_: str) -> Callable[[ServiceOptions], Endpoint]:
        return lambda options: endpoint

    monkeypatch.setattr(connection, "load", load)
    return deaths


@pytest.mark.usefixtures("started_here")
def test_where_a_missing_checkpoint_may_be_depends_on_whose_the_service_is(front: Front) -> None:
    with open_service("local") as service:
        assert "GEOSPOT_STATE_DIR" in service.where_it_may_be
        assert "`geospot checkpoints list`" in service.where_it_may_be
    with open_service(front.url) as service:
        assert "expired" in service.where_it_may_be
        assert f"`geospot checkpoints list --service {front.url}`" in service.where_it_may_be


@pytest.mark.usefixtures("impatient", "started_here")
def test_a_service_that_was_started_here_is_waited_for_longer(front: Front) -> None:
    front.held = "capabilities"
    threading.Timer(1.0, front.release.set).start()  # what others have is over at once
    with open_service("local") as service:
        assert [model.name for model in service.models()] == [BASE]


@pytest.mark.usefixtures("impatient")
def test_nobody_waits_for_a_service_that_has_died(front: Front, started_here: list[str]) -> None:
    front.held = "capabilities"
    threading.Timer(0.5, started_here.append, ["It was ended by signal 9."]).start()
    with open_service("local") as service, pytest.raises(UnreachableError, match="signal 9"):
        service.models()


@pytest.mark.usefixtures("impatient")
def test_a_model_that_is_never_ready_is_given_up(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LOADING_S", 1.5)
    front.held, front.keeps = "create_sampling_session", lambda: None
    with (
        open_service(front.url) as service,
        pytest.raises(UnreachableError, match="minutes for scripted/vlm to sample from, and isn't"),
    ):
        service.sampler(base_model=BASE)


def test_only_waiting_is_charged_to_the_service(front: Front, clock: Clock) -> None:
    with open_service(front.url) as service:
        for _ in range(3):
            clock.forward(60)
            assert [model.name for model in service.models()] == [BASE]
        assert service.sampler(base_model=BASE).get_base_model() == BASE


def test_each_question_that_is_answered_renews_the_allowance(front: Front, clock: Clock) -> None:
    with open_service(front.url) as service:
        for _ in range(4):
            service.ask("to take its time", lambda _rest: clock.forward(60))


def test_one_slow_answer_after_the_model_is_ready_is_not_held_against_later_questions(
    front: Front, clock: Clock
) -> None:
    with open_service(front.url) as service:
        client = sampled(service)
        with pytest.raises(UnreachableError, match="asked to take too long"):
            service.ask("to take too long", lambda _rest: silent(front, clock))
        service.ask("to take its time", lambda _rest: clock.forward(60))
        assert client is not sampled(service)


def test_silence_before_a_model_is_ready_ends_it(front: Front, clock: Clock) -> None:
    """One allowance for all questions: after the first, none is waited for."""
    with open_service(front.url) as service:
        for _ in range(3):
            with pytest.raises(UnreachableError):
                service.ask("to take too long", lambda _rest: silent(front, clock))
            with pytest.raises(UnreachableError):
                service.ask("to take no time", lambda _rest: None)


def silent(front: Front, clock: Clock) -> None:
    """A service that says nothing for longer than anybody waits."""
    clock.forward(200)
    front.release.wait()


@pytest.mark.parametrize("trouble", ["lost", "starting"])
def test_the_probe_asks_again(front: Front, trouble: str) -> None:
    setattr(front, trouble, 2)
    with open_service(front.url) as service:
        assert front.passed[:2] == ["/api/v1/healthz", "/api/v1/client/config"]
        assert [model.name for model in service.models()] == [BASE]


def test_the_probe_asks_again_where_an_answer_stays_out(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    from geospot.services import probing

    kept: list[float] = []

    def keep() -> None:
        kept.append(time.monotonic())
        if len(kept) == 2:
            front.release.set()

    monkeypatch.setattr(waiting, "SETUP_S", 60.0)
    monkeypatch.setattr(probing, "_ATTEMPT_S", 1.5)
    front.held, front.keeps = "healthz", keep
    with open_service(front.url):
        assert len(kept) >= 2
        assert front.passed.count("/api/v1/healthz") >= 1


def test_a_server_that_goes_on_starting_is_named(front: Front) -> None:
    front.starting = 100
    with pytest.raises(UnreachableError, match=r"no healthy Tinker service \(HTTP 503\)"):
        open_service(front.url)


def test_a_session_whose_end_nobody_hears_asks_no_more(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_CLOSING_S", 0.2)
    with open_service(front.url) as service:
        holder = service.client().holder
        front.held = "/finish"
    wait_for(lambda: holder._closed)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.usefixtures("impatient")
def test_a_session_that_comes_when_it_was_given_up_is_finished(front: Front) -> None:
    front.held = "create_session"
    with open_service(front.url) as service, pytest.raises(UnreachableError):
        service.client()
    front.held = ""
    front.release.set()
    wait_for(lambda: any(path.endswith("/finish") for path in front.passed))


def test_what_cannot_be_trained_is_said(front: Front) -> None:
    with open_service(front.url) as service:
        with pytest.raises(ModelNotFoundError, match=r"can't train no/such: .* isn't served"):
            service.trainer("no/such", rank=4)
        with pytest.raises(ModelNotFoundError, match="there is no checkpoint tinker://a/weights/b"):
            service.trainer_from("tinker://a/weights/b", optimizer=False)
        with pytest.raises(
            ModelNotFoundError, match=r"has no no/such to sample from: .*isn't served"
        ):
            service.sampler(base_model="no/such")
