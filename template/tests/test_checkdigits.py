"""Check digits: a right number passes, and no other last digit or letter does."""

import string

import pytest

from app import checkdigits


@pytest.mark.parametrize(
    ("check", "number"),
    [
        ("luhn", "4242424242424242"),
        ("luhn", "378282246310005"),
        ("iban", "DE89370400440532013000"),
        ("dni", "12345678Z"),
        ("dni", "X1234567L"),
        ("steuer_id", "86095742719"),
        ("steuer_id", "65929970489"),
        ("nir", "255081416802538"),
        ("codice_fiscale", "RSSMRA85T10A562S"),
        ("pesel", "44051401359"),
    ],
)
def test_only_the_right_last_mark_passes(check, number):
    marks = string.digits if number[-1].isdigit() else string.ascii_uppercase
    passed = [mark for mark in marks if getattr(checkdigits, check)(number[:-1] + mark)]
    assert passed == [number[-1]]


@pytest.mark.parametrize("number", ["2A", "2B"])
def test_corsica_counts_as_a_number(number):
    body = f"25508{number}168025"
    place = {"2A": "19", "2B": "18"}[number]
    key = 97 - int(f"25508{place}168025") % 97
    assert checkdigits.nir(f"{body}{key:02d}")


@pytest.mark.parametrize("number", ["12345678903", "11111111119"])
def test_a_tax_number_repeats_just_one_of_its_digits(number):
    assert not checkdigits.steuer_id(number)


@pytest.mark.parametrize("body", ["4413010135", "4400010135", "4405320135"])
def test_a_polish_number_has_a_day_that_can_be(body):
    assert not any(checkdigits.pesel(body + last) for last in string.digits)


@pytest.mark.parametrize("text", ["2001:db8::1", "fe80::1", "1:2:3:4:5:6:7:8", "10.0.0.1"])
def test_an_address_of_another_machine_counts(text):
    assert checkdigits.address(text)


@pytest.mark.parametrize("text", ["::1", "127.0.0.1", "0.1.2.3", "ab::cd", "1.2.3.400", "10:30:45"])
def test_an_address_of_this_machine_or_of_none_does_not(text):
    assert not checkdigits.address(text)
