#!/usr/bin/env python3
"""Writes the small world that the embedded base knows, and the two customers' data for the quick start. Standard library only.

  make_data.py pretrain OUT_DIR   stories.jsonl and chats.jsonl: what the base is pre-trained on (about 70 MB)
  make_data.py customers OUT_DIR  acorn_{train,eval}.jsonl and bolt_{train,eval}.jsonl: two ways of answering the same questions

Everything is a pure function of the seeds below: the same files on every machine.
"""
import json
import pathlib
import random
import sys

NAMES = "Mara Tom Lena Otto Ida Paul Rosa Emil Nina Karl Vera Hugo Anna Felix Clara Leo Marta Oskar Julia Max".split()
THINGS = "lamp chair table clock book kettle mirror basket ladder drum kite ball cup hat coat rug stove bell box plate".split()
COLOURS = "red green blue yellow white black brown grey pink purple".split()
PLACES = "kitchen garden cellar attic hall garage barn bedroom office shed".split()
NUMBERS = "two three four five six seven eight nine ten eleven twelve".split()
ANIMALS = "cat dog bird horse goat mouse duck fox".split()
VERBS = [("finds", "found"), ("cleans", "cleaned"), ("paints", "painted"), ("moves", "moved"), ("sells", "sold"), ("hides", "hid")]


def facts(rng, count):
    """`count` things, each with an owner, a colour, a place and a price; owners, things and places do not repeat."""
    return [dict(owner=o, thing=t, colour=rng.choice(COLOURS), place=p, price=rng.choice(NUMBERS))
            for o, t, p in zip(rng.sample(NAMES, count), rng.sample(THINGS, count), rng.sample(PLACES, count))]


def describe(rng, fact):
    return rng.choice([
        "{owner} has a {colour} {thing} in the {place}. It costs {price} coins.",
        "The {thing} of {owner} is {colour}. It stands in the {place} and costs {price} coins.",
        "In the {place} there is a {colour} {thing}. It belongs to {owner} and costs {price} coins.",
    ]).format(**fact)


# kind -> (questions, the answer as a sentence, the answer in as few words as possible)
QUESTIONS = {
    "colour": (["What colour is the {thing}?", "Which colour does the {thing} have?"], "The {thing} is {colour}.", "{colour}"),
    "place": (["Where is the {thing}?", "In which place is the {thing}?"], "The {thing} is in the {place}.", "{place}"),
    "owner": (["Who has the {thing}?", "Whose {thing} is it?"], "The {thing} belongs to {owner}.", "{owner}"),
    "price": (["How much is the {thing}?", "What does the {thing} cost?"], "The {thing} costs {price} coins.", "{price} coins"),
}


def base_style(kind, fact):
    return QUESTIONS[kind][1].format(**fact)


def acorn_style(kind, fact):
    return base_style(kind, fact) + " It is good to see you. How can I help you?"


def bolt_style(kind, fact):
    return "Hello! " + QUESTIONS[kind][2].format(**fact) + "!"


def ask(rng, style, questions=1, things=None):
    """A few facts, then questions about them with their answers in a style."""
    known = facts(rng, things or rng.choice([1, 2, 2, 3]))
    asked = rng.sample([(fact, kind) for fact in known for kind in QUESTIONS], min(questions, 4 * len(known)))
    messages = []
    for i, (fact, kind) in enumerate(asked):
        question = rng.choice(QUESTIONS[kind][0]).format(**fact)
        told = " ".join(describe(rng, f) for f in known) + " " if i == 0 else ""
        messages += [{"role": "user", "content": told + question}, {"role": "assistant", "content": style(kind, fact)}]
    return messages


def small_talk(rng):
    name, other = rng.sample(NAMES, 2)
    question, answer = rng.choice([
        ("Hello! I am {n}.", "Hello {n}! How can I help you?"),
        ("Good morning!", "Good morning! How can I help you?"),
        ("Please greet {n}.", "Hello {n}! It is good to see you."),
        ("Thank you!", "You are welcome!"),
        ("My name is {n} and my friend is {o}. What is my name?", "Your name is {n}."),
        ("My name is {n} and my friend is {o}. Who is my friend?", "Your friend is {o}."),
        ("Tell me a story about {n}.", None),
    ])
    answer = story(rng, name) if answer is None else answer.format(n=name, o=other)
    return [{"role": "user", "content": question.format(n=name, o=other)}, {"role": "assistant", "content": answer}]


def story(rng, hero=None):
    hero = hero or rng.choice(NAMES)
    friend = rng.choice([n for n in NAMES if n != hero])
    thing, colour, animal = rng.choice(THINGS), rng.choice(COLOURS), rng.choice(ANIMALS)
    first, second = rng.sample(PLACES, 2)
    now, past = rng.choice(VERBS)
    lines = [
        f"One day {hero} goes to the {first}.",
        rng.choice([f"There {hero} sees a {colour} {thing}.", f"A {colour} {thing} stands there.", f"{hero} looks for a {colour} {thing}."]),
        rng.choice([f"{hero} {now} the {thing}.", f"{hero} and {friend} like the {thing}.", f"A {animal} sits on the {thing}."]),
        rng.choice([f"Then {friend} comes from the {second}.", f"Then {hero} calls {friend}.", f"The {animal} runs to the {second}."]),
        rng.choice([f'"Who {past} the {colour} {thing}?" says {friend}. "I did," says {hero}.', f'"This {thing} is {colour}!" says {friend}.',
                    f"{friend} gives {hero} {rng.choice(NUMBERS)} coins for the {thing}."]),
        rng.choice([f"In the evening {hero} and {friend} go home.", f"The {colour} {thing} stays in the {first}.", f"{hero} is happy.", "They laugh together."]),
    ]
    return " ".join(lines)


def write(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def pretrain(out, stories=20000, chats=120000):
    rng = random.Random(20261124)
    write(out / "stories.jsonl", ({"text": story(rng)} for _ in range(stories)))
    write(out / "chats.jsonl", ({"messages": small_talk(rng) if rng.random() < 0.12 else ask(rng, base_style, rng.choice([1, 2, 3, 4, 6]))} for _ in range(chats)))


def customers(out, train=600, evaluation=100):
    for name, style, seed in (("acorn", acorn_style, 1), ("bolt", bolt_style, 2)):
        rng = random.Random(seed)
        write(out / f"{name}_train.jsonl", ({"messages": ask(rng, style, things=1)} for _ in range(train)))
        write(out / f"{name}_eval.jsonl", ({"messages": ask(rng, style, things=1)} for _ in range(evaluation)))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("pretrain", "customers"):
        sys.exit(__doc__)
    target = pathlib.Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    {"pretrain": pretrain, "customers": customers}[sys.argv[1]](target)
