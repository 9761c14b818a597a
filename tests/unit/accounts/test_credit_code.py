"""Unified social credit codes against published ones, and against every single mistake."""

import pytest

from accounts import credit_code
from accounts.credit_code import ALPHABET

# Codes that their holders publish.
PUBLISHED = {
    "91350100M000100Y43": "the example in GB 32100-2015 itself",
    "91330100799655058B": "Alibaba (China)",
    "914403001922038216": "Huawei Technologies",
    "9144030071526726XG": "Tencent Technology (Shenzhen)",
    "91110000802100433B": "Baidu Online Network Technology (Beijing)",
    "91110108551385082Q": "Xiaomi",
    "91100000100003962T": "Industrial and Commercial Bank of China",
    "91440300708461136T": "a bank in Shenzhen",
}


@pytest.mark.parametrize("code", PUBLISHED)
def test_published_codes_are_valid(code):
    assert credit_code.problem_with(code) is None
    assert credit_code.check_character(code[:17]) == code[17]


@pytest.mark.parametrize("code", PUBLISHED)
def test_any_single_wrong_character_is_found(code):
    for place in range(18):
        for character in ALPHABET:
            if character != code[place]:
                wrong = code[:place] + character + code[place + 1 :]
                assert not credit_code.is_valid(wrong), wrong


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("", "18 characters"),
        ("91330100799655058", "18 characters"),
        ("91330100799655058BB", "18 characters"),
        ("91330100799655058b", "not 'b'"),
        ("9133010079965505IB", "not 'I'"),
        ("91330100799655058A", "ends in B"),
        ("91A30100799655058B", "digits of the registering division"),
        ("９1330100799655058B", "not '９'"),
        (" 1330100799655058B", "not ' '"),
    ],
)
def test_the_rule_is_named(code, says):
    assert says in (credit_code.problem_with(code) or "")


@pytest.mark.parametrize("code", [code for code in PUBLISHED if code[8:10] != "M0"])
def test_the_inner_organisation_code_has_its_own_check_character(code):
    """GB 11714: 79965505-8 and the like; the generator makes both."""
    assert credit_code.organisation_check(code[8:16]) == code[16]


def test_made_up_codes_are_valid_and_repeatable():
    codes = [credit_code.made_up(seed, division="410300") for seed in range(300)]
    assert all(credit_code.is_valid(code) for code in codes)
    assert len(set(codes)) == 300
    assert codes[7] == credit_code.made_up(7, division="410300")
    assert all(credit_code.organisation_check(c[8:16]) == c[16] for c in codes)


@pytest.mark.django_db
def test_the_database_knows_the_same_rule():
    from django.db import connection

    codes = [
        *PUBLISHED,
        "91330100799655058A",
        "91330100799655058b",
        "",
        "9" * 18,
        "9133010079965505IB",
    ]
    with connection.cursor() as cursor:
        cursor.execute("SELECT credit_code_is_valid(code) FROM unnest(%s::text[]) code", [codes])
        answers = [row[0] for row in cursor.fetchall()]
    assert answers == [credit_code.is_valid(code) for code in codes]
