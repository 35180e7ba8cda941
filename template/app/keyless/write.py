"""Answer by quoting: the sentences that fit a question, or the central ones of a text."""

import json
from collections import Counter
from dataclasses import dataclass

from app import text
from app.keyless import rank, read
from app.keyless.read import Source, Task

# Below this share of the question's weight found in the best passage, the honest answer is "not here".
COVERAGE = 0.3
# A further sentence is quoted if it scores at least this share of the best one.
NEXT = 0.6
MIN_WORDS = 4


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
    quotes = ranked_quotes(task)
    if not quotes or coverage(task, quotes[0]) < COVERAGE:
        return task.refusal or "I do not know."
    best = quotes[0].score
    kept = [quote for quote in quotes[: task.sentences] if quote.score >= NEXT * best]
    kept.sort(
        key=lambda quote: (quote.source.number != quotes[0].source.number, quote.source.number, quote.place)
    )
    return " ".join(f"{q.sentence} [{q.source.number}]" if task.cites else q.sentence for q in kept)


def ranked_quotes(task: Task) -> list[Quote]:
    """Every sentence of the sources, the best fit first; a source's topic and rank count a little."""
    spots = [(s, i, sentence) for s in task.sources for i, sentence in enumerate(text.sentences(s.text))]
    bags = [Counter(text.terms(sentence)) for _, _, sentence in spots]
    topics = [Counter(text.terms(source.topic)) for source, _, _ in spots]
    question = list(dict.fromkeys(text.terms(task.text)))
    weights = rank.idf([bag + topic for bag, topic in zip(bags, topics, strict=True)])
    scores = rank.bm25(question, bags, weights)
    quotes = [
        Quote(source, place, sentence, score + topic_bonus(question, topic, weights) + 0.4 / source.number)
        for (source, place, sentence), score, topic in zip(spots, scores, topics, strict=True)
        if score > 0 and len(sentence.split()) >= MIN_WORDS
    ]
    return sorted(quotes, key=lambda q: (-q.score, q.source.number, q.place))


def topic_bonus(question: list[str], topic: Counter[str], weights: dict[str, float]) -> float:
    """What a heading that names the question's subject is worth."""
    return 0.5 * sum(weights[term] for term in question if term in topic)


def coverage(task: Task, quote: Quote) -> float:
    """The share of the question's weight that its best passage holds; words found nowhere weigh most."""
    bags = [Counter(text.terms(f"{source.topic} {source.text}")) for source in task.sources]
    weights = rank.idf(bags)
    question = list(dict.fromkeys(text.terms(task.text)))
    unseen = max(weights.values(), default=1.0)
    total = sum(weights.get(term, unseen) for term in question)
    held = Counter(text.terms(f"{quote.source.topic} {quote.source.text}"))
    return sum(weights.get(term, unseen) for term in question if term in held) / total if total else 0.0


def central(body: str) -> list[str]:
    """The sentences of a text, the most central first; greetings and scraps last."""
    sentences = list(dict.fromkeys(text.sentences(body)))
    scores = rank.lexrank(sentences)
    order = sorted(
        range(len(sentences)), key=lambda i: (len(sentences[i].split()) < MIN_WORDS, -scores[i], i)
    )
    return [sentences[i] for i in order]


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
