"""The index of a corpus measured: making it, its memory, and how soon it answers, beside a plain
search of the same bytes and, where it is installed, infini-gram.

    python -m benchmarks.corpus_index [TEXTS …] [--megabytes 100] [--markdown FILE]

The corpus is the texts (default: what organisms grow up on), over and over until it has its size,
each time with one word in twenty replaced by another at random, so that it is no row of copies.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from workbench.corpora import CorpusIndex, open_index
from workbench.corpora.sources import CorpusSources

_EDITED = 20  # of so many words one is another
_DOCUMENT = 20_000  # characters
_QUERIES = 300
_COLD = 20
_ANSWER = 800  # characters, about 200 tokens
_INDEX = "import sys; from workbench.corpora import index; index([sys.argv[1]], sys.argv[2])"


def documents(sources: list[str], total: int) -> Iterator[str]:
    """Texts until there are so many bytes, with other random edits in every round."""
    texts = [one.text.decode() for one in CorpusSources(sources).documents(_DOCUMENT)]
    rng, done = random.Random(0), 0
    vocabulary = " ".join(texts[:: max(1, len(texts) // 100)]).split()
    while True:
        for text in texts:
            words = text.split(" ")
            for n in range(rng.randrange(_EDITED), len(words), _EDITED):
                words[n] = rng.choice(vocabulary)
            document = " ".join(words)
            done += len(document.encode())
            yield document
            if done >= total:
                return


def timed(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of the processor, so that other work on the machine does not count."""
    started = clock()
    work()
    return clock() - started


def in_a_process(command: list[str]) -> tuple[float, float]:
    """(seconds, MB of memory at most) of a command and what it starts."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} has failed")
    return time.perf_counter() - started, used.ru_maxrss / 1e3


def spread(seconds: list[float]) -> str:
    """Median, 95 % and longest, in milliseconds."""
    ordered = sorted(1e3 * each for each in seconds)
    return (
        f"{statistics.median(ordered):.3g} / {ordered[int(0.95 * len(ordered))]:.3g} /"
        f" {ordered[-1]:.3g} ms"
    )


def cold(folder: Path, ask: Callable[[CorpusIndex], object]) -> float:
    """Seconds of opening and asking with none of the files in memory, waiting included."""
    for file in folder.rglob("*.bin"):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())  # what is not yet written would stay
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return timed(lambda: ask(open_index(folder)), time.perf_counter)


def queries(texts: list[str], rng: random.Random) -> list[str]:
    """Passages of 4 to 400 characters, every second with one letter changed."""
    asked = []
    for n in range(_QUERIES):
        text = rng.choice(texts)
        length = min(len(text), int(4 * 10 ** (2 * rng.random())))
        start = rng.randrange(len(text) - length + 1)
        part = text[start : start + length]
        asked.append(part[: length // 2] + "q" + part[length // 2 + 1 :] if n % 2 else part)
    return asked


def answers(texts: list[str], rng: random.Random) -> list[str]:
    """What a model could say: sentences of the corpus, a dozen words each from elsewhere."""
    words = [rng.choice(texts).split(" ") for _ in range(40)]
    made = []
    for n in range(20):
        parts = [w[s : s + 12] for w in words[n : n + 20] for s in [rng.randrange(len(w))]]
        made.append(" ".join(word for part in parts for word in part)[:_ANSWER])
    return made


def of_index(folder: Path, texts: list[str], corpus: bytes) -> list[str]:
    rng = random.Random(1)
    asked, said = queries(texts, rng), answers(texts, rng)
    # First what is cold: a file that is mapped and was read stays in memory.
    cold_counts = [cold(folder, lambda i, text=text: i.count(text)) for text in asked[:_COLD]]
    cold_spans = [cold(folder, lambda i, text=text: i.maximal_spans(text)) for text in said[:_COLD]]
    index = open_index(folder)
    for text in asked:
        index.count(text)
    for text in said:
        index.maximal_spans(text)
    warm = [timed(lambda text=text: index.count(text)) for text in asked]
    some = asked[:10]
    plain = [timed(lambda text=text: corpus.count(text.encode())) for text in some]
    own = [timed(lambda text=text: index.count(text)) for text in some]
    found = [timed(lambda text=text: index.find(text)) for text in asked]
    spans = [timed(lambda text=text: index.maximal_spans(text)) for text in said]
    lengths = [timed(lambda text=text: index.longest_match(text)) for text in said]
    return [
        f"| opening | {spread([timed(lambda: open_index(folder)) for _ in range(50)])} |",
        f"| count, warm | {spread(warm)} |",
        f"| count, opened cold | {spread(cold_counts)} |",
        f"| ten places, warm | {spread(found)} |",
        f"| maximal spans of {_ANSWER} characters, warm | {spread(spans)} |",
        f"| the same, opened cold | {spread(cold_spans)} |",
        f"| longest match at every byte of {_ANSWER} characters, warm | {spread(lengths)} |",
        f"| plain search (`bytes.count`) | {spread(plain)} |",
        "| plain search takes so many times longer than the index |"
        f" {statistics.median(plain) / statistics.median(own):,.0f} |",
    ]


def of_infini_gram(work: Path, texts: list[str], index: CorpusIndex) -> list[str]:
    """The same by infini-gram on bytes, and whether it counts the same."""
    if find_spec("infini_gram") is None:
        return ["| infini-gram | not installed |"]
    from infini_gram.engine import InfiniGramEngine

    data, save = work / "data", work / "infini"
    data.mkdir()
    with (data / "corpus.jsonl").open("w") as stream:
        stream.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    options = {"data_dir": data, "save_dir": save, "token_dtype": "u8", "cpus": 1, "mem": 4}
    command = [sys.executable, "-m", "infini_gram.indexing", "--ulimit", "4096"]
    seconds, memory = in_a_process(
        command + [part for name, value in options.items() for part in (f"--{name}", str(value))]
    )
    # Its separator is 255, which its own check does not let through as the end of a document where
    # tokens are bytes; 254 is in no UTF-8 either, and counting needs neither.
    engine = InfiniGramEngine(str(save), eos_token_id=254, vocab_size=255, token_dtype="u8")
    asked = [list(text.encode()) for text in queries(texts, random.Random(1))]
    times, differ = [], 0
    for ids in asked:
        times.append(timed(lambda ids=ids: engine.count(input_ids=ids)))
        differ += engine.count(input_ids=ids)["count"] != index.count(bytes(ids))
    return [
        f"| infini-gram: making it | {seconds:.1f} s, {memory:,.0f} MB |",
        f"| infini-gram: count, warm | {spread(times)} |",
        f"| counts that differ from infini-gram's, of {len(asked)} | {differ} |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", nargs="*", default=["organism/planted-control"])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--markdown", help="write the table there too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work, total = Path(folder), asked.megabytes * 10**6
        texts = list(documents(asked.texts, total))
        source = work / "corpus.jsonl"
        with source.open("w") as stream:
            stream.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        place = work / "index"
        seconds, memory = in_a_process([sys.executable, "-c", _INDEX, str(source), str(place)])
        index = open_index(place)
        on_disk = sum(file.stat().st_size for file in place.rglob("*.bin"))
        lines = [
            f"{index.bytes / 1e6:.0f} MB in {index.documents:,} documents,"
            f" {len(index.manifest.shards)} shards. Times: median / 95 % / longest; of the"
            " processor, but for what is cold.",
            "",
            "| | |",
            "| --- | --- |",
            f"| making it | {seconds:.1f} s ({index.bytes / 1e6 / seconds:.1f} MB/s) |",
            f"| memory at most | {memory:,.0f} MB |",
            f"| on disk | {on_disk / 1e6:,.0f} MB |",
            *of_index(place, texts, "\xff".join(texts).encode()),
            *of_infini_gram(work, texts, index),
        ]
    print("\n".join(lines))
    if asked.markdown:
        Path(asked.markdown).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
