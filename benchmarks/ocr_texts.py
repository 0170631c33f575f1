"""What the rendered pages say: a few short passages in each language, written for these measurements."""

# ruff: noqa: RUF001  Chinese has commas of its own

from collections.abc import Mapping

PASSAGES: Mapping[str, str] = {
    "en": (
        "The ferry leaves the old harbour at 06:40 and calls at three islands before noon. Passengers with bicycles "
        "should wait behind the yellow line until the crew has opened the ramp. In winter the last boat returns at "
        "17:15; tickets bought on board cost 20% more than those from the kiosk (cards only). Between the second and "
        "the third island the sea is often rough, so the captain may shorten the stop. Lost property is kept for "
        "thirty days in room B-12 of the terminal. For groups of ten or more, please write to the office at least "
        "two days ahead, and state how many of you need a seat indoors."
    ),
    "de": (
        "Für die Prüfung der Brücke müssen größere Fahrzeuge über die Königstraße umgeleitet werden. Die Sperrung "
        "beginnt am Dienstag früh um fünf Uhr und dauert voraussichtlich bis Freitagabend. Fußgänger können den "
        "schmalen Weg am südlichen Ufer benützen. Während der Bauarbeiten fährt der Bus Nr. 38 alle zwölf Minuten; "
        "die Haltestelle »Schlößchen« entfällt. Zusätzliche Auskünfte gibt das Tiefbauamt, Zimmer 207, täglich außer "
        "mittwochs zwischen 9 und 11 Uhr."
    ),
    "fr": (
        "L'été dernier, nous avons traversé la forêt jusqu'à l'ancienne chapelle où logeaient les bûcherons. Le guide, "
        "très âgé, connaissait chaque chêne et chaque ruisseau ; il s'arrêtait souvent pour écouter. « Voilà, "
        "disait-il, c'est ici que naît la rivière. » À midi, on déjeunait d'un peu de fromage, de pâté et de prunes. "
        "Le garçon du village nous a reçus près du fossé, et sa sœur a joué un air naïf à la flûte."
    ),
    "es": (
        "El pequeño taller de cerámica abrió sus puertas hace más de cien años en la calle del Jazmín. ¿Quién no "
        "recuerda aquellas jarras de color añil? La dueña, doña Inés, enseñaba a los niños a preparar el barro con "
        "agua tibia y paciencia. ¡Qué alegría había los sábados! Después de la cocción, cada pieza llevaba un número "
        "y la fecha: así sabíamos cuál era la próxima exposición en Cádiz."
    ),
    "pl": (
        "Wczesną wiosną rzeka wylała i zatopiła łąki aż po próg młyna. Młynarz zdążył wynieść worki na strych, lecz "
        "żarna zostały pod wodą. Następnego dnia sąsiedzi przynieśli łopaty, świeży chleb i gorącą zupę. Jeszcze "
        "przed świętami koło znów się obracało, a dzieci puszczały papierowe łódki. Dziś w tym miejscu stoi tablica "
        "ze zdjęciem z 1924 roku."
    ),
    "cs": (
        "Ještě před svítáním vyšel hvězdář na střechu věže, aby změřil výšku planety nad obzorem. Vítr mu třikrát "
        "zhasl svíčku, ale přístroj zůstal v klidu. Výsledky zapsal do sešitu modrým inkoustem: úhel, čas a teplotu. "
        "Později zjistil, že se zmýlil o půl stupně, a celý výpočet začal znovu. Dům číslo 14 dnes slouží jako "
        "knihovna a čítárna."
    ),
    "pt": (
        "Na manhã de sábado, os pescadores puxaram as redes até à praia e dividiram os peixes em cestos. Não havia "
        "pão suficiente, mas ninguém reclamou. Depois do almoço, as crianças subiram às dunas e contaram as gaivotas: "
        "eram mais de trezentas! A avó dizia que, quando voam tão baixo, vem aí chuva. Às sete horas o céu ficou "
        "cinzento e a previsão cumpriu-se."
    ),
    "zh": (
        "清晨的市场刚刚开门，卖菜的老人把新鲜的白菜和萝卜整齐地摆在木架上。今天的鸡蛋每斤六元五角，比上周便宜一点。"
        "学生们骑着自行车从桥上经过，书包里装着早餐和课本。天气预报说下午会有小雨，请大家记得带伞。图书馆从九点到"
        "十七点开放，周一休息。二楼的阅览室有三百个座位，需要提前两天预约。"
    ),
    "ja": (
        "朝の電車はいつもより空いていた。窓の外には、まだ雪の残る山々が見える。次の駅で降りて、川沿いの道を十五分ほど"
        "歩くと、古い図書館に着く。受付で名前を書き、二階の窓ぎわの席に座った。ノートとカメラを机の上に置き、午後三時"
        "まで資料を読む。帰りにパン屋で焼きたてのクロワッサンを二つ買った。"
    ),
}
"""By language code."""

INVOICE = (
    ("Item", "Qty", "Unit price", "Total"),
    ("Bearing 6204-2RS", "12", "$4.75", "$57.00"),
    ("Hex bolt M8x40", "200", "$0.18", "$36.00"),
    ("Drive belt A-1250", "3", "$11.20", "$33.60"),
    ("Grease cartridge 400 g", "6", "$5.95", "$35.70"),
    ("Shipping", "1", "$9.90", "$9.90"),
    ("Subtotal", "", "", "$172.20"),
    ("VAT 20%", "", "", "$34.44"),
    ("TOTAL DUE", "", "", "$206.64"),
)
"""Rows of cells."""

CODE = (
    "def mean_of(values: list[float]) -> float:",
    "    total_sum = 0.0",
    "    for next_value in values:",
    "        total_sum += next_value",
    "    return total_sum / max(1, len(values))",
    "",
    "if __name__ == '__main__':",
    "    print(mean_of([1.5, 2.25, -3.0]))",
    "    file_name = 'data/run_07.csv'",
)
"""Lines of a program, with underscores and signs."""
