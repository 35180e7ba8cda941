"""Answer by quoting: the sentences that fit a question, or the central ones of a text."""

import json
from collections import Counter
from dataclasses import dataclass

from app import text
from app.keyless import rank, read
from app.keyless.read import Source, Task

# Below this share of the question's weight found in the best passage, the honest answer is "not here".
COVERAGE = 0.35
# A word that many passages hold still says something of the question's subject.
FLOOR = 0.5
# A further sentence is quoted if it scores at least this share of the best one.
NEXT = 0.6
MIN_WORDS = 4
# Ranking compares every sentence with every other: of a longer text only these are read.
MAX_SENTENCES = 200


@dataclass(frozen=True)
class Quote:
    """One sentence of one source, with its fit to the question."""

    source: Source
    place: int
    sentence: str
    score: float


def reply(system: str, user: str) -> str:
    """The model's whole answer to a rendered prompt: plain text, or JSON where the prompt asks for it."""
    task = read.task(system, user)
    if task.sources or task.refusal:
        said = answer(task)
        return as_json(task, [said]) if task.keys else said
    ranked = central(task.text)
    if task.keys:
        return as_json(task, ranked)
    return " ".join(in_order(task.text, ranked[: task.sentences])) or task.text[:200]


def answer(task: Task) -> str:
    """Quote the sentences that fit the question best, or say the refusal line."""
    language = text.language(task.text)
    question = list(dict.fromkeys(text.terms(task.text, language)))
    quotes = ranked_quotes(question, task.sources, language)
    if not quotes or coverage(question, task.sources, quotes[0].source, language) < COVERAGE:
        return task.refusal or "I do not know."
    first = quotes[0]
    spoken = text.language(first.sentence)
    near = [quote for quote in quotes[: task.sentences] if quote.score >= NEXT * first.score]
    kept = [quote for quote in near if text.language(quote.sentence) == spoken]
    kept.sort(key=lambda q: (q.source.number != first.source.number, q.source.number, q.place))
    return " ".join(f"{q.sentence} [{q.source.number}]" if task.cites else q.sentence for q in kept)


def ranked_quotes(question: list[str], sources: list[Source], language: str) -> list[Quote]:
    """Every sentence of the sources, the best fit first; a source's topic and rank count a little."""
    spots = [(s, place, said) for s in sources for place, said in enumerate(text.sentences(s.text))]
    bags = [Counter(text.terms(said, language)) for _, _, said in spots]
    topics = {s.number: Counter(text.terms(s.topic, language)) for s in sources}
    weights = rank.idf([bag + topics[s.number] for bag, (s, _, _) in zip(bags, spots, strict=True)])
    bonus = {n: 0.5 * sum(weights[t] for t in question if t in topic) for n, topic in topics.items()}
    quotes = [
        Quote(source, place, said, score + bonus[source.number] + 0.4 / source.number)
        for (source, place, said), score in zip(spots, rank.bm25(question, bags, weights), strict=True)
        if score > 0 and len(said.split()) >= MIN_WORDS
    ]
    return sorted(quotes, key=lambda q: (-q.score, q.source.number, q.place))


def coverage(question: list[str], sources: list[Source], best: Source, language: str) -> float:
    """The share of the question's weight that its best passage holds; words found nowhere weigh most."""
    bags = {s.number: Counter(text.terms(f"{s.topic} {s.text}", language)) for s in sources}
    weights = {term: FLOOR + weight for term, weight in rank.idf(list(bags.values())).items()}
    unseen = max(weights.values(), default=1.0)
    total = sum(weights.get(term, unseen) for term in question)
    held = sum(weights[term] for term in question if term in bags[best.number])
    return held / total if total else 0.0


def central(body: str) -> list[str]:
    """The sentences of a text, the most central first; greetings and scraps last."""
    sentences = list(dict.fromkeys(text.sentences(body)))[:MAX_SENTENCES]
    scores = dict(zip(sentences, rank.lexrank(sentences), strict=True))
    return sorted(sentences, key=lambda said: (len(said.split()) < MIN_WORDS, -scores[said]))


def in_order(body: str, chosen: list[str]) -> list[str]:
    """The chosen sentences as the text has them."""
    return [sentence for sentence in dict.fromkeys(text.sentences(body)) if sentence in chosen]


def as_json(task: Task, ranked: list[str]) -> str:
    """The object that the prompt asks for; a list goes on where the sentences before it ended."""
    values: dict[str, object] = {}
    start = 0
    for key in task.keys:
        part = ranked[start : start + key.count] or ranked[: key.count]
        chosen = in_order(task.text, part) or part
        values[key.name] = chosen if key.is_list else " ".join(chosen)
        start += len(part)
    return json.dumps(values, ensure_ascii=False)
