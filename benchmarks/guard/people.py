"""Made-up personal data in made-up sentences, and what only looks like it; by Faker, not by our patterns."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faker import Faker
from stdnum.de import idnr

SEED = 97
EACH = 60
SENTENCES = {
    "en": [
        "Please use {} from now on.",
        "My details changed: {}, thanks.",
        "Reach me under {}",
        "It was {}.",
    ],
    "de": ["Bitte verwenden Sie ab jetzt {}.", "Meine Angaben: {}, danke.", "Zu erreichen unter {}", "({})"],
    "fr": ["Merci d'utiliser {} désormais.", "Mes coordonnées : {}, merci.", "Voici : {}", "({})"],
    "es": ["Por favor, use {} a partir de hoy.", "Mis datos: {}, gracias.", "Lo mejor es {}", "({})"],
    "it": ["Usate {} da oggi in poi.", "I miei dati: {}, grazie.", "Il mio contatto: {}", "({})"],
    "pl": ["Proszę używać {} od dziś.", "Moje dane: {}, dziękuję.", "Kontakt: {}", "({})"],
}
LOCALES = ["en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "pl_PL"]
# Not the British ones: those of Faker cannot exist, on purpose.
IDS = {"en_US": "ssn", "fr_FR": "ssn", "es_ES": "nif", "it_IT": "ssn", "pl_PL": "pesel"}


@dataclass(frozen=True)
class Planted:
    """A sentence with one value in it."""

    kind: str
    text: str
    value: str


def planted() -> Iterator[Planted]:
    """Sentences with e-mail addresses, phones, accounts, cards, national numbers and addresses."""
    Faker.seed(SEED)
    chance = random.Random(SEED)
    for locale in LOCALES:
        fake = Faker(locale)
        kinds: dict[str, Callable[[], str]] = {
            "email": fake.email,
            f"phone {locale}": fake.phone_number,
            "iban": fake.iban,
            "card": fake.credit_card_number,
            "ip": fake.ipv4_public,
            "ip v6": fake.ipv6,
        }
        if locale in IDS:
            kinds[f"id {locale}"] = getattr(fake, IDS[locale])
        if locale == "de_DE":
            kinds["id de_DE"] = lambda: steuer_id(chance)
        for kind, make in kinds.items():
            for _ in range(EACH):
                value = make()
                yield Planted(kind, chance.choice(SENTENCES[locale[:2]]).format(value), value)


def steuer_id(chance: random.Random) -> str:
    """A German tax number that python-stdnum calls valid."""
    while not idnr.is_valid(number := str(chance.randrange(10**10, 10**11))):
        pass
    return number


def look_alikes() -> Iterator[tuple[str, str]]:
    """Lines of business and logs without personal data, by their kind."""
    Faker.seed(SEED + 1)
    fake, chance = Faker("en_US"), random.Random(SEED + 1)
    number = chance.randrange
    makers: dict[str, Callable[[], str]] = {
        "order number": lambda: (
            f"Order {number(10**9, 10**10)} of customer {number(10**4, 10**5)} is on its way."
        ),
        "order number, grouped": lambda: (
            f"Order {number(100, 999)}-{number(10**6, 10**7)}-{number(10**6, 10**7)}."
        ),
        "16 digits": lambda: f"Reference {number(10**15, 10**16)}, please quote it.",
        "11 digits": lambda: f"Parcel {number(10**10, 10**11)} left the depot.",
        "invoice": lambda: (
            f"Invoice RE-{number(2019, 2027)}-{number(10**4, 10**6):06d}, net {number(1, 9999)}.50 EUR"
        ),
        "version": lambda: f"Upgrade from {dotted(chance, 3)} to {dotted(chance, 4)} first.",
        "build": lambda: f"build {number(10**6, 10**8)} of release-{number(1, 30)}.{number(0, 99)} failed",
        "ISBN": lambda: f"See ISBN {fake.isbn13()} and {fake.isbn10()}.",
        "EAN": lambda: f"Article {fake.ean13()} costs {number(1, 999)},{number(10, 99)} EUR.",
        "date and time": lambda: f"Between {fake.iso8601()} and {fake.date(pattern='%d.%m.%Y %H:%M:%S')}.",
        "git hash": lambda: f"commit {fake.sha1()} reverts {fake.sha1()[:10]}",
        "UUID": lambda: f"request {fake.uuid4()} took {number(1, 5000)} ms",
        "log line": lambda: (
            f"[{fake.date_time()}] pid={number(1, 99999)} rss={number(10**7, 10**9)} 200 {fake.uri_path()}"
        ),
        "coordinates": lambda: f"at {fake.latitude()}, {fake.longitude()}",
        "amounts": lambda: (
            f"Sum {number(1, 999)} {number(100, 999)} {number(100, 999)},00 of {number(10**6, 10**9)}"
        ),
        "number plate": lambda: f"The van {fake.license_plate()} is at gate {number(1, 40)}.",
        "MAC address": lambda: f"device {fake.mac_address()} on port {number(1, 48)}",
        "code": lambda: f"std::map<K, V>::find, Foo::Bar, a[{number(0, 99)}:{number(100, 999)}] :: Int",
    }
    for kind, make in makers.items():
        yield from ((kind, make()) for _ in range(EACH))


def dotted(chance: random.Random, parts: int) -> str:
    """A version number."""
    return ".".join(str(chance.randrange(0, 40)) for _ in range(parts))
