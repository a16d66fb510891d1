"""The words that generated catalogues are made of: a department store in German, English and Italian.

Brands and model names are invented. Texts come as ``(de, en, it)``: one glance shows a missing language.
"""

from __future__ import annotations

from dataclasses import dataclass

LOCALES = ("de", "en", "it")

Words = tuple[str, str, str]
"""One term in German, English and Italian."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A category of the third level. ``nouns`` name its articles; ``cents`` is the range of their prices."""

    key: str
    name: Words
    nouns: tuple[Words, ...]
    cents: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Group:
    """A category of the second level.

    :param second_axis: values of the second axis where the department's own do not fit (shoe sizes).
    :param scented: variants differ by scent rather than by colour.
    """

    key: str
    name: Words
    leaves: tuple[Leaf, ...]
    second_axis: tuple[str, ...] = ()
    scented: bool = False


@dataclass(frozen=True, slots=True)
class Department:
    """A category of the first level and its product type.

    :param code: first letter of its SKUs.
    :param axes: names of the two attributes that tell variants apart.
    :param second_axis: values of the second axis.
    """

    key: str
    code: str
    name: Words
    groups: tuple[Group, ...]
    axes: tuple[str, str]
    second_axis: tuple[str, ...]
    materials: tuple[Words, ...]
    details: tuple[Words, ...]


BRANDS = (
    "Fjordwerk",
    "Lumenta",
    "Casa Brivio",
    "Tarnwick",
    "Altmoor",
    "Seidenhof",
    "Quillon & Dare",
    "Ondaluce",
    "Merrivane",
    "Kieselgrau",
    "Vellaro",
    "Oakmere",
)

MODELS = (
    "Alba",
    "Bruno",
    "Cleo",
    "Dario",
    "Elin",
    "Falk",
    "Greta",
    "Hugo",
    "Ilka",
    "Jonas",
    "Kira",
    "Levi",
    "Mila",
    "Nilo",
    "Ottilie",
    "Pia",
    "Quentin",
    "Runa",
    "Stella",
    "Theo",
    "Uma",
    "Vito",
    "Wanda",
    "Xenia",
    "Yara",
    "Zeno",
)

COLOURS: tuple[tuple[str, str, Words], ...] = (
    ("black", "BLK", ("Schwarz", "Black", "Nero")),
    ("white", "WHT", ("Weiß", "White", "Bianco")),
    ("navy", "NVY", ("Marine", "Navy", "Blu notte")),
    ("red", "RED", ("Rot", "Red", "Rosso")),
    ("green", "GRN", ("Grün", "Green", "Verde")),
    ("grey", "GRY", ("Grau", "Grey", "Grigio")),
    ("beige", "BEI", ("Beige", "Beige", "Beige")),
    ("brown", "BRN", ("Braun", "Brown", "Marrone")),
    ("lightblue", "LBL", ("Hellblau", "Light blue", "Azzurro")),
    ("pink", "PNK", ("Rosa", "Pink", "Rosa")),
    ("yellow", "YLW", ("Gelb", "Yellow", "Giallo")),
    ("purple", "PRP", ("Violett", "Purple", "Viola")),
)

SCENTS: tuple[tuple[str, str, Words], ...] = (
    ("rose", "ROS", ("Rose", "Rose", "Rosa")),
    ("lavender", "LAV", ("Lavendel", "Lavender", "Lavanda")),
    ("lemon", "LEM", ("Zitrone", "Lemon", "Limone")),
    ("sandalwood", "SAN", ("Sandelholz", "Sandalwood", "Sandalo")),
    ("vanilla", "VAN", ("Vanille", "Vanilla", "Vaniglia")),
    ("mint", "MNT", ("Minze", "Mint", "Menta")),
    ("fig", "FIG", ("Feige", "Fig", "Fico")),
    ("jasmine", "JAS", ("Jasmin", "Jasmine", "Gelsomino")),
    ("cedar", "CED", ("Zeder", "Cedar", "Cedro")),
    ("neroli", "NER", ("Neroli", "Neroli", "Neroli")),
    ("almond", "ALM", ("Mandel", "Almond", "Mandorla")),
    ("pure", "PUR", ("Unparfümiert", "Fragrance free", "Senza profumo")),
)

CLOTHES_SIZES = ("XXS", "XS", "S", "M", "L", "XL", "XXL", "3XL", "4XL", "5XL")
SHOE_SIZES = ("36", "37", "38", "39", "40", "41", "42", "43", "44", "45")
DIMENSIONS = (
    "20x20 cm",
    "30x30 cm",
    "40x40 cm",
    "50x50 cm",
    "40x60 cm",
    "60x90 cm",
    "80x80 cm",
    "80x120 cm",
    "120x170 cm",
    "160x230 cm",
)
VOLUMES = ("5 ml", "10 ml", "15 ml", "30 ml", "50 ml", "75 ml", "100 ml", "150 ml", "250 ml", "500 ml")
STORAGES = ("16 GB", "32 GB", "64 GB", "128 GB", "256 GB", "512 GB", "1 TB", "2 TB", "4 TB", "8 TB")

FASHION = Department(
    key="fashion",
    code="F",
    name=("Mode", "Fashion", "Moda"),
    axes=("color", "size"),
    second_axis=CLOTHES_SIZES,
    materials=(
        ("Bio-Baumwolle", "organic cotton", "cotone biologico"),
        ("Merinowolle", "merino wool", "lana merino"),
        ("Leinen", "linen", "lino"),
        ("recyceltem Polyester", "recycled polyester", "poliestere riciclato"),
        ("Leder", "leather", "pelle"),
    ),
    details=(
        ("Fällt normal aus.", "True to size.", "Vestibilità regolare."),
        ("Bei 30 °C waschbar.", "Machine washable at 30 °C.", "Lavabile a 30 °C."),
        ("Gefertigt in Portugal.", "Made in Portugal.", "Prodotto in Portogallo."),
    ),
    groups=(
        Group(
            "women",
            ("Damen", "Women", "Donna"),
            (
                Leaf(
                    "dresses",
                    ("Kleider", "Dresses", "Abiti"),
                    (
                        ("Sommerkleid", "Summer dress", "Abito estivo"),
                        ("Strickkleid", "Knit dress", "Abito in maglia"),
                    ),
                    (4900, 24900),
                ),
                Leaf(
                    "blouses",
                    ("Blusen", "Blouses", "Camicette"),
                    (("Bluse", "Blouse", "Camicetta"), ("Tunika", "Tunic", "Tunica")),
                    (2900, 12900),
                ),
                Leaf(
                    "women-knitwear",
                    ("Strick", "Knitwear", "Maglieria"),
                    (
                        ("Strickjacke", "Cardigan", "Cardigan"),
                        ("Rollkragenpullover", "Roll-neck jumper", "Dolcevita"),
                    ),
                    (3900, 19900),
                ),
            ),
        ),
        Group(
            "men",
            ("Herren", "Men", "Uomo"),
            (
                Leaf(
                    "shirts",
                    ("Hemden", "Shirts", "Camicie"),
                    (("Hemd", "Shirt", "Camicia"), ("Flanellhemd", "Flannel shirt", "Camicia di flanella")),
                    (3900, 14900),
                ),
                Leaf(
                    "trousers",
                    ("Hosen", "Trousers", "Pantaloni"),
                    (("Chino", "Chinos", "Chino"), ("Cordhose", "Corduroy trousers", "Pantaloni di velluto")),
                    (4900, 17900),
                ),
                Leaf(
                    "jackets",
                    ("Jacken", "Jackets", "Giacche"),
                    (
                        ("Steppjacke", "Quilted jacket", "Giacca trapuntata"),
                        ("Regenjacke", "Rain jacket", "Impermeabile"),
                    ),
                    (8900, 39900),
                ),
            ),
        ),
        Group(
            "shoes",
            ("Schuhe", "Shoes", "Scarpe"),
            (
                Leaf(
                    "sneakers",
                    ("Sneaker", "Trainers", "Sneakers"),
                    (("Sneaker", "Trainers", "Sneakers"), ("Laufschuh", "Running shoes", "Scarpe da corsa")),
                    (5900, 19900),
                ),
                Leaf(
                    "boots",
                    ("Stiefel", "Boots", "Stivali"),
                    (
                        ("Chelsea-Boots", "Chelsea boots", "Chelsea boots"),
                        ("Winterstiefel", "Winter boots", "Stivali"),
                    ),
                    (8900, 29900),
                ),
                Leaf(
                    "sandals",
                    ("Sandalen", "Sandals", "Sandali"),
                    (("Sandale", "Sandals", "Sandali"), ("Espadrilles", "Espadrilles", "Espadrillas")),
                    (2900, 9900),
                ),
            ),
            second_axis=SHOE_SIZES,
        ),
    ),
)

HOME = Department(
    key="home",
    code="H",
    name=("Wohnen", "Home", "Casa"),
    axes=("color", "dimensions"),
    second_axis=DIMENSIONS,
    materials=(
        ("Eichenholz", "oak", "rovere"),
        ("Steinzeug", "stoneware", "gres"),
        ("Leinen", "linen", "lino"),
        ("mundgeblasenem Glas", "mouth-blown glass", "vetro soffiato"),
        ("gebürstetem Edelstahl", "brushed steel", "acciaio spazzolato"),
    ),
    details=(
        ("Spülmaschinenfest.", "Dishwasher safe.", "Lavabile in lavastoviglie."),
        ("Jedes Stück ein Unikat.", "Every piece is unique.", "Ogni pezzo è unico."),
        ("Einfache Montage.", "Easy to assemble.", "Facile da montare."),
    ),
    groups=(
        Group(
            "living",
            ("Wohnzimmer", "Living room", "Soggiorno"),
            (
                Leaf(
                    "rugs",
                    ("Teppiche", "Rugs", "Tappeti"),
                    (("Webteppich", "Woven rug", "Tappeto tessuto"), ("Läufer", "Runner", "Passatoia")),
                    (4900, 59900),
                ),
                Leaf(
                    "cushions",
                    ("Kissen", "Cushions", "Cuscini"),
                    (("Zierkissen", "Cushion", "Cuscino"), ("Sitzkissen", "Seat pad", "Cuscino da seduta")),
                    (1900, 8900),
                ),
                Leaf(
                    "lamps",
                    ("Leuchten", "Lamps", "Lampade"),
                    (
                        ("Tischleuchte", "Table lamp", "Lampada da tavolo"),
                        ("Stehleuchte", "Floor lamp", "Piantana"),
                    ),
                    (3900, 34900),
                ),
            ),
        ),
        Group(
            "kitchen",
            ("Küche", "Kitchen", "Cucina"),
            (
                Leaf(
                    "tableware",
                    ("Geschirr", "Tableware", "Stoviglie"),
                    (("Servierplatte", "Serving plate", "Vassoio"), ("Schale", "Bowl", "Ciotola")),
                    (990, 7900),
                ),
                Leaf(
                    "table-linen",
                    ("Tischwäsche", "Table linen", "Biancheria da tavola"),
                    (("Tischdecke", "Tablecloth", "Tovaglia"), ("Tischläufer", "Table runner", "Runner")),
                    (1900, 9900),
                ),
                Leaf(
                    "storage",
                    ("Aufbewahrung", "Storage", "Contenitori"),
                    (("Vorratsdose", "Storage jar", "Barattolo"), ("Brotkasten", "Bread bin", "Portapane")),
                    (1290, 8900),
                ),
            ),
        ),
        Group(
            "bedroom",
            ("Schlafzimmer", "Bedroom", "Camera da letto"),
            (
                Leaf(
                    "bedding",
                    ("Bettwäsche", "Bedding", "Biancheria da letto"),
                    (("Bettbezug", "Duvet cover", "Copripiumino"), ("Kissenbezug", "Pillowcase", "Federa")),
                    (1900, 17900),
                ),
                Leaf(
                    "throws",
                    ("Decken", "Throws", "Plaid"),
                    (("Wolldecke", "Wool throw", "Plaid di lana"), ("Tagesdecke", "Bedspread", "Copriletto")),
                    (3900, 24900),
                ),
                Leaf(
                    "mirrors",
                    ("Spiegel", "Mirrors", "Specchi"),
                    (
                        ("Wandspiegel", "Wall mirror", "Specchio da parete"),
                        ("Kosmetikspiegel", "Vanity mirror", "Specchio"),
                    ),
                    (2900, 29900),
                ),
            ),
        ),
    ),
)

BEAUTY = Department(
    key="beauty",
    code="B",
    name=("Beauty", "Beauty", "Bellezza"),
    axes=("shade", "volume"),
    second_axis=VOLUMES,
    materials=(
        ("Arganöl", "argan oil", "olio di argan"),
        ("Aloe vera", "aloe vera", "aloe vera"),
        ("Sheabutter", "shea butter", "burro di karité"),
        ("Hyaluronsäure", "hyaluronic acid", "acido ialuronico"),
    ),
    details=(
        ("Vegan und tierversuchsfrei.", "Vegan and cruelty free.", "Vegano e cruelty free."),
        ("Dermatologisch getestet.", "Dermatologically tested.", "Dermatologicamente testato."),
        ("Nachfüllbar.", "Refillable.", "Ricaricabile."),
    ),
    groups=(
        Group(
            "make-up",
            ("Make-up", "Make-up", "Trucco"),
            (
                Leaf(
                    "lips",
                    ("Lippen", "Lips", "Labbra"),
                    (("Lippenstift", "Lipstick", "Rossetto"), ("Lipgloss", "Lip gloss", "Lucidalabbra")),
                    (890, 3900),
                ),
                Leaf(
                    "nails",
                    ("Nägel", "Nails", "Unghie"),
                    (("Nagellack", "Nail polish", "Smalto"), ("Pflegelack", "Nail care", "Smalto curativo")),
                    (590, 1900),
                ),
                Leaf(
                    "face",
                    ("Teint", "Complexion", "Viso"),
                    (("Foundation", "Foundation", "Fondotinta"), ("Rouge", "Blush", "Fard")),
                    (1490, 5900),
                ),
            ),
        ),
        Group(
            "care",
            ("Pflege", "Care", "Cura"),
            (
                Leaf(
                    "body",
                    ("Körper", "Body", "Corpo"),
                    (
                        ("Körperlotion", "Body lotion", "Latte corpo"),
                        ("Duschgel", "Shower gel", "Gel doccia"),
                    ),
                    (590, 3900),
                ),
                Leaf(
                    "hair",
                    ("Haare", "Hair", "Capelli"),
                    (("Shampoo", "Shampoo", "Shampoo"), ("Haarkur", "Hair mask", "Maschera per capelli")),
                    (690, 3400),
                ),
                Leaf(
                    "hands",
                    ("Hände", "Hands", "Mani"),
                    (
                        ("Handcreme", "Hand cream", "Crema mani"),
                        ("Handseife", "Hand soap", "Sapone per le mani"),
                    ),
                    (490, 2400),
                ),
            ),
            scented=True,
        ),
        Group(
            "fragrance",
            ("Düfte", "Fragrance", "Profumi"),
            (
                Leaf(
                    "perfume",
                    ("Parfum", "Perfume", "Profumo"),
                    (
                        ("Eau de Parfum", "Eau de parfum", "Eau de parfum"),
                        ("Eau de Toilette", "Eau de toilette", "Acqua"),
                    ),
                    (2900, 18900),
                ),
                Leaf(
                    "room-fragrance",
                    ("Raumdüfte", "Room fragrance", "Profumi per la casa"),
                    (
                        ("Raumspray", "Room spray", "Spray per ambienti"),
                        ("Diffusoröl", "Diffuser oil", "Olio essenziale"),
                    ),
                    (1490, 6900),
                ),
                Leaf(
                    "bath",
                    ("Bad", "Bath", "Bagno"),
                    (("Badeöl", "Bath oil", "Olio da bagno"), ("Badesalz", "Bath salts", "Sali da bagno")),
                    (990, 3900),
                ),
            ),
            scented=True,
        ),
    ),
)

ELECTRONICS = Department(
    key="electronics",
    code="E",
    name=("Elektronik", "Electronics", "Elettronica"),
    axes=("color", "storage"),
    second_axis=STORAGES,
    materials=(
        ("Aluminium", "aluminium", "alluminio"),
        ("recyceltem Kunststoff", "recycled plastic", "plastica riciclata"),
        ("gehärtetem Glas", "toughened glass", "vetro temperato"),
    ),
    details=(
        ("Zwei Jahre Garantie.", "Two-year warranty.", "Garanzia di due anni."),
        ("Mit USB-C-Kabel.", "USB-C cable included.", "Cavo USB-C incluso."),
        ("Akku austauschbar.", "Replaceable battery.", "Batteria sostituibile."),
    ),
    groups=(
        Group(
            "mobile",
            ("Mobil", "Mobile", "Mobile"),
            (
                Leaf(
                    "phones",
                    ("Smartphones", "Smartphones", "Smartphone"),
                    (
                        ("Smartphone", "Smartphone", "Smartphone"),
                        ("Outdoor-Handy", "Rugged phone", "Telefono outdoor"),
                    ),
                    (14900, 119900),
                ),
                Leaf(
                    "tablets",
                    ("Tablets", "Tablets", "Tablet"),
                    (("Tablet", "Tablet", "Tablet"), ("E-Reader", "E-reader", "E-reader")),
                    (9900, 89900),
                ),
                Leaf(
                    "watches",
                    ("Uhren", "Watches", "Orologi"),
                    (
                        ("Smartwatch", "Smartwatch", "Smartwatch"),
                        ("Fitnessuhr", "Fitness watch", "Orologio fitness"),
                    ),
                    (7900, 44900),
                ),
            ),
        ),
        Group(
            "computing",
            ("Computer", "Computing", "Computer"),
            (
                Leaf(
                    "notebooks",
                    ("Notebooks", "Laptops", "Portatili"),
                    (("Notebook", "Laptop", "Portatile"), ("Convertible", "Convertible", "Convertibile")),
                    (39900, 249900),
                ),
                Leaf(
                    "drives",
                    ("Speicher", "Drives", "Memorie"),
                    (
                        ("Externe SSD", "External SSD", "SSD esterno"),
                        ("USB-Stick", "USB stick", "Chiavetta USB"),
                    ),
                    (990, 29900),
                ),
                Leaf(
                    "desktops",
                    ("Desktop-PCs", "Desktops", "Desktop"),
                    (("Mini-PC", "Mini PC", "Mini PC"), ("Tower-PC", "Tower PC", "PC tower")),
                    (29900, 199900),
                ),
            ),
        ),
        Group(
            "players",
            ("Foto & Audio", "Photo & audio", "Foto e audio"),
            (
                Leaf(
                    "action-cams",
                    ("Action-Cams", "Action cameras", "Action cam"),
                    (("Action-Cam", "Action camera", "Action cam"), ("Dashcam", "Dash camera", "Dash cam")),
                    (9900, 59900),
                ),
                Leaf(
                    "music-players",
                    ("Musikplayer", "Music players", "Lettori musicali"),
                    (
                        ("Musikplayer", "Music player", "Lettore musicale"),
                        ("Hörbuchplayer", "Audiobook player", "Lettore"),
                    ),
                    (4900, 39900),
                ),
                Leaf(
                    "baby-cams",
                    ("Überwachung", "Monitoring", "Sorveglianza"),
                    (
                        ("Babyphone", "Baby monitor", "Baby monitor"),
                        ("Innenkamera", "Indoor camera", "Telecamera"),
                    ),
                    (4900, 24900),
                ),
            ),
        ),
    ),
)

DEPARTMENTS = (FASHION, HOME, BEAUTY, ELECTRONICS)

ADJECTIVES: tuple[Words, ...] = (
    ("Leicht", "Light", "Leggero"),
    ("Klassisch", "Classic", "Classico"),
    ("Modern", "Modern", "Moderno"),
    ("Zeitlos", "Timeless", "Senza tempo"),
    ("Robust", "Sturdy", "Robusto"),
    ("Kompakt", "Compact", "Compatto"),
)

STORES: tuple[tuple[str, str, str, str, str, str], ...] = (
    # key, city, country, street, number, postal code
    ("berlin", "Berlin", "DE", "Beispielallee", "12", "10115"),
    ("hamburg", "Hamburg", "DE", "Musterkai", "3", "20457"),
    ("munich", "München", "DE", "Beispielplatz", "7", "80331"),
    ("vienna", "Wien", "AT", "Mustergasse", "21", "1010"),
    ("london", "London", "GB", "Sample Street", "48", "W1B 5AA"),
    ("milan", "Milano", "IT", "Via Esempio", "9", "20121"),
    ("cologne", "Köln", "DE", "Musterstraße", "5", "50667"),
    ("manchester", "Manchester", "GB", "Example Road", "110", "M1 1AE"),
    ("rome", "Roma", "IT", "Via Campione", "33", "00187"),
    ("boston", "Boston", "US", "Sample Avenue", "200", "02108"),
    ("leipzig", "Leipzig", "DE", "Beispielweg", "18", "04109"),
    ("graz", "Graz", "AT", "Beispielring", "2", "8010"),
)
