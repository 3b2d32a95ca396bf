# ruff: noqa: RUF001 (Chinese and typography)
"""Full-text search finds the passage that answers, in four languages; the index takes any text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.run import FOLDER
from relay.core.words import tokens
from relay.knowledge.passages import Passage, cut
from relay.knowledge.search import PassageIndex

SHOP = Path(__file__).parent / "shop"
EXAMPLE_SHOP = FOLDER / "shop" / "willow.md"
MIN_RECALL = 0.9

QUESTIONS: dict[str, list[tuple[str, str]]] = {
    "en": [
        ("are you open on sunday?", "Opening hours"),
        ("which bus goes to your shop", "Where we are"),
        ("Where can I park my car?", "Parking"),
        ("i have a flat tire how much", "Repairs"),
        ("What's included in the service check up?", "Annual service"),
        ("can i rent an ebike for a day", "Hiring"),
        ("I want my money back", "Returns and refunds"),
        ("how long is the guarantee on a frame", "Guarantee"),
        ("do you take credit card or apple pay", "Payment"),
        ("Could you deliver it to my house?", "Delivery"),
        ("helmet for my child", "Children"),
        ("would you buy my old bike? it is a used bicycle", "Trade-in"),
        ("do gift vouchers expire", "Vouchers"),
        ("is there a course on looking after my bicycle", "Courses"),
        ("my bicycle was stolen", "Stolen bicycles"),
    ],
    "de": [
        ("habt ihr am montag offen?", "Öffnungszeiten"),
        ("wie komme ich mit der strassenbahn hin", "Anfahrt"),
        ("Kann ich bei euch parken?", "Parkplätze"),
        ("Möchte einen Tisch reservieren für 4 Personen", "Reservierung"),
        ("ich muss die reservierung leider absagen", "Stornierung"),
        ("was kostet das mittagessen werktags", "Mittagstisch"),
        ("gibt es etwas veganes", "Vegane Küche"),
        ("Habt ihr glutenfreies Brot?", "Allergien"),
        ("darf mein hund mit in den garten", "Hunde"),
        ("Was kostet ein Doppelzimmer mit Frühstück", "Zimmer"),
        ("wir wollen unsere hochzeit bei euch feiern", "Feiern"),
        ("kann man mit karte zahlen, kreditkarte?", "Bezahlung"),
        ("gibt es hochstühle und einen spielplatz", "Kinder"),
        ("verkauft ihr gutscheine zum verschenken", "Gutscheine"),
        ("ich habe meine jacke vergessen", "Fundsachen"),
    ],
    "es": [
        ("abren los sabados?", "Horario"),
        ("cual es la direccion, hay ascensor", "Dirección"),
        ("quiero pedir una cita", "Citas"),
        ("tengo que cancelar mi cita de mañana", "Cancelaciones"),
        ("me duele mucho, tengo un diente roto", "Urgencias"),
        ("¿Cuánto cuesta una limpieza?", "Precios"),
        ("se puede pagar con bizum o tarjeta", "Formas de pago"),
        ("¿trabajan con mi seguro Adeslas?", "Seguros"),
        ("ponen brackets", "Ortodoncia"),
        ("mi niño tiene dos años, primera revisión", "Niños"),
        ("blanquear los dientes, ¿es posible durante el embarazo?", "Blanqueamiento"),
        ("precio de un implante", "Implantes"),
        ("me sacaron una muela, ¿puedo fumar?", "Después de una extracción"),
        ("donde puedo aparcar", "Aparcamiento"),
        ("alguien habla ingles?", "Idiomas"),
    ],
    "zh": [
        ("你们周一营业吗？", "营业时间"),
        ("茶馆在哪里，地址是什么", "地址"),
        ("可以停车吗", "停车"),
        ("我想订包间", "订座"),
        ("我要取消预订", "取消预订"),
        ("龙井多少钱一壶", "茶叶价格"),
        ("想学泡茶，有课程吗", "茶艺课程"),
        ("点心有素食吗，我对花生过敏", "素食"),
        ("可以用支付宝付款吗", "付款方式"),
        ("茶叶能寄到北京吗，运费多少", "快递"),
        ("买的茶叶可以退货吗", "退货"),
        ("带孩子来有儿童座椅吗", "儿童"),
        ("可以带小狗吗", "宠物"),
        ("礼品卡有效期多久", "礼品卡"),
        ("上网密码是多少", "无线网络"),
    ],
}


def shop_index(language: str) -> PassageIndex:
    path = EXAMPLE_SHOP if language == "en" else SHOP / f"{language}.md"
    return PassageIndex(list(cut(path.read_text(encoding="utf-8"), path.name)))


def finds(language: str, question: str, section: str) -> bool:
    found = shop_index(language).find(question, 3)
    return any(passage.title.endswith(f" > {section}") for passage in found)


@pytest.mark.parametrize("language", QUESTIONS)
def test_the_section_that_answers_is_among_the_best_three(language: str) -> None:
    """Each question is in the language of its document."""
    missed = [question for question, section in QUESTIONS[language] if not finds(language, question, section)]
    recall = 1 - len(missed) / len(QUESTIONS[language])
    assert recall > MIN_RECALL, missed


def test_case_accents_and_punctuation_make_no_difference() -> None:
    """People write on phones."""
    assert list(tokens("CAFÉ, Öffnungszeiten; e-mail")) == ["cafe", "offnungszeiten", "e", "mail"]
    assert list(tokens("营业时间 ok")) == ["营业", "业时", "时间", "ok"]


@pytest.mark.parametrize("question", ["When do you open?", "open", "are you opened", "opening"])
def test_a_word_is_found_in_its_other_forms(question: str) -> None:
    """Also one of four letters, which is a 4-gram itself."""
    shop = [Passage("a.md", "Opening hours", "From 9 to 18."), Passage("a.md", "Parking", "Behind us.")]
    assert PassageIndex(shop).find(question, 1) == shop[:1]


@pytest.mark.parametrize("question", ["", "?!", "🙂", '" OR words : "x', "NOT AND NEAR(a b)", "a*", "^b", "\x00"])
def test_no_question_is_a_query_of_its_own(question: str) -> None:
    """Operators of the query language are words like others."""
    index = PassageIndex([Passage("a.md", "", "near and not")])
    assert len(index.find(question, 3)) <= 1


@given(st.lists(st.text(max_size=40), max_size=5), st.text(max_size=40))
def test_any_text_can_be_indexed_and_searched(texts: list[str], question: str) -> None:
    """No text is an error, and nothing is found that is not there."""
    passages = [Passage("a.md", "", text) for text in texts]
    assert set(PassageIndex(passages).find(question, 3)) <= set(passages)


@given(st.text(alphabet="abcdefgh ÄÖüж茶水", min_size=5, max_size=60))
def test_a_passage_is_found_by_its_own_words(text: str) -> None:
    """In scripts with and without spaces."""
    others = [Passage("other.md", "", f"unrelated {number}") for number in range(5)]
    wanted = Passage("x.md", "", text)
    if list(tokens(text)):
        assert wanted in PassageIndex([*others, wanted]).find(text, 3)
