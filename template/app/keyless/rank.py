"""Rank sentences: BM25 for a question, LexRank for a text. Pure arithmetic, the same on every machine."""

import math
from collections import Counter

from app import text

K1, B = 1.2, 0.6


def idf(bags: list[Counter[str]]) -> dict[str, float]:
    """Inverse document frequency of each term (Robertson and Sparck Jones, kept positive)."""
    seen = Counter(term for bag in bags for term in bag)
    return {term: math.log(1 + (len(bags) - n + 0.5) / (n + 0.5)) for term, n in seen.items()}


def bm25(question: list[str], bags: list[Counter[str]], weights: dict[str, float]) -> list[float]:
    """One score a bag (Robertson and Zaragoza 2009, equation 3.15)."""
    mean = sum(bag.total() for bag in bags) / max(len(bags), 1) or 1
    scores = []
    for bag in bags:
        norm, held = K1 * (1 - B + B * bag.total() / mean), [term for term in question if bag[term]]
        scores.append(sum(weights.get(t, 0) * bag[t] * (K1 + 1) / (bag[t] + norm) for t in held))
    return scores


def lexrank(sentences: list[str], damping: float = 0.85, rounds: int = 60) -> list[float]:
    """The centrality of each sentence among the others (Erkan and Radev 2004, continuous form)."""
    language = text.language(" ".join(sentences))
    bags = [Counter(text.terms(sentence, language)) for sentence in sentences]
    weights = idf(bags)
    vectors = [{term: n * weights[term] for term, n in bag.items()} for bag in bags]
    # A sentence does not vote for itself: one that resembles no other must rank last.
    similar = [[0.0 if a is b else cosine(a, b) for b in vectors] for a in vectors]
    totals = [sum(row) or 1.0 for row in similar]
    count = len(sentences)
    scores = [1 / count] * count if count else []
    for _ in range(rounds):
        scores = [
            (1 - damping) / count + damping * sum(similar[j][i] / totals[j] * scores[j] for j in range(count))
            for i in range(count)
        ]
    return scores


def cosine(a: dict[str, float], b: dict[str, float]) -> float:
    """The cosine of two sparse vectors; 0 where one is empty."""
    dot = sum(weight * b[term] for term, weight in a.items() if term in b)
    size = math.sqrt(sum(w * w for w in a.values()) * sum(w * w for w in b.values()))
    return dot / size if size else 0.0
