"""Check digits of cards, accounts and national numbers, and addresses that can be: no look-alike passes."""

import ipaddress
import operator
import re
from collections import Counter

# By the value of a digit or letter, in the odd places of an Italian tax code (decree of 23 December 1976).
ODD = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23]


def digits(text: str) -> list[int]:
    """The digits of a number, whatever stands between them."""
    return [int(mark) for mark in text if mark.isdigit()]


def luhn(text: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1, annex B)."""
    found = digits(text)
    doubled = [sum(divmod(2 * digit, 10)) for digit in found[-2::-2]]
    return 13 <= len(found) <= 19 and (sum(found[-1::-2]) + sum(doubled)) % 10 == 0


def iban(text: str) -> bool:
    """The check digits of an account number (ISO 13616, mod 97)."""
    flat = re.sub(r"\s", "", text).upper()
    moved = flat[4:] + flat[:4]
    return 15 <= len(flat) <= 34 and int("".join(str(int(mark, 36)) for mark in moved)) % 97 == 1


def dni(text: str) -> bool:
    """The letter of a Spanish identity number, DNI or NIE (mod 23)."""
    flat = re.sub("[- ]", "", text.upper())
    number = int(flat[:-1].translate(str.maketrans("XYZ", "012")))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == flat[-1]


def steuer_id(text: str) -> bool:
    """A German tax number: of ten digits one stands twice or thrice; ISO 7064 mod 11,10."""
    *body, check = digits(text)
    rest = 10
    for digit in body:
        rest = ((rest + digit) % 10 or 10) * 2 % 11
    repeated = [count for count in Counter(body).values() if count > 1]
    return repeated in ([2], [3]) and (11 - rest) % 10 == check


def nir(text: str) -> bool:
    """The key of a French social security number (97 - n mod 97); Corsica's letters count as digits."""
    flat = text.replace(" ", "").replace("2A", "19", 1).replace("2B", "18", 1)
    return flat.isdigit() and 97 - int(flat[:13]) % 97 == int(flat[13:])


def codice_fiscale(text: str) -> bool:
    """The last letter of an Italian tax code (odd places by a table, even ones by their value, mod 26)."""
    values = [int(mark) if mark.isdigit() else ord(mark) - 65 for mark in text.replace(" ", "")]
    return (sum(ODD[value] for value in values[:15:2]) + sum(values[1:15:2])) % 26 == values[15]


def pesel(text: str) -> bool:
    """A Polish national number: a day that can be, and the check digit."""
    month, day = int(text[2:4]) % 20, int(text[4:6])
    total = sum(map(operator.mul, digits(text), (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)))
    return 1 <= month <= 12 and 1 <= day <= 31 and total % 10 == 0


def address(text: str) -> bool:
    """An IP address of another machine; of a short IPv6 form (`Foo::Bar` has one) only those in use."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    is_here = found.is_loopback or text.startswith("0.")
    return not is_here and (text.count(":") in (0, 7) or not found.is_reserved)
