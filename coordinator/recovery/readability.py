"""How hard a text is to read, by the formula of Flesch and Kincaid (US Navy, 1975)."""

import re
from functools import lru_cache

SENTENCE = re.compile(r"[.!?:]+(?:\s|$)|\n+")
WORD = re.compile("[A-Za-z]+(?:['\u2019-][A-Za-z]+)*")
VOWELS = re.compile(r"[aeiouy]+")


def words(text: str) -> list[str]:
    """Return the words of a text, without numbers and signs."""
    return WORD.findall(text)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text that hold a word; a line's end ends one, too."""
    return [part for part in SENTENCE.split(text) if WORD.search(part)]


@lru_cache(maxsize=4096)
def syllables(word: str) -> int:
    """Return about how many syllables an English word has: its groups of vowels, at least one."""
    small = re.sub(r"[^a-z]", "", word.lower())
    count = len(VOWELS.findall(small))
    if re.search(r"[^aeiouyl]e$|[^aeiouydt]ed$|[^aeiouysxzc]es$", small):
        count -= 1  # silent: home, called, comes
    return max(count, 1)


def grade(text: str) -> float:
    """Return the school grade (years, US) that a text asks of its reader, to one decimal."""
    spoken, told = words(text), sentences(text)
    if not spoken:
        return 0.0
    per_sentence = len(spoken) / len(told)
    per_word = sum(map(syllables, spoken)) / len(spoken)
    return round(0.39 * per_sentence + 11.8 * per_word - 15.59, 1)
