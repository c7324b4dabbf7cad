package demo

// department is one category of the shop. The names of its products are
// style, material and noun: "Nordic Oak Coffee Table".
type department struct {
	name      string
	nouns     []string
	materials []string
	// low and high bound the prices, in whole euros.
	low, high int
}

// departments are in order of how many customers like them.
var departments = []department{
	{"kitchen", []string{"Mixing Bowl", "Serving Plate", "Mug", "Teapot", "Carafe", "Salad Bowl"}, []string{"Stoneware", "Porcelain", "Glass", "Enamel", "Bamboo"}, 6, 60},
	{"decor", []string{"Vase", "Wall Clock", "Candle Holder", "Picture Frame", "Bookend", "Tray"}, []string{"Ceramic", "Brass", "Walnut", "Marble", "Glass"}, 8, 120},
	{"textiles", []string{"Throw", "Cushion", "Rug", "Curtain", "Bedspread", "Table Runner"}, []string{"Wool", "Linen", "Cotton", "Velvet", "Jute"}, 12, 250},
	{"lighting", []string{"Pendant Lamp", "Floor Lamp", "Table Lamp", "Wall Light", "Chandelier", "Desk Lamp"}, []string{"Brass", "Copper", "Glass", "Paper", "Steel"}, 25, 400},
	{"living-room", []string{"Coffee Table", "Side Table", "Sofa", "Armchair", "Bookshelf", "TV Bench"}, []string{"Oak", "Walnut", "Ash", "Birch", "Pine"}, 79, 1800},
	{"garden", []string{"Planter", "Garden Chair", "Garden Bench", "Lantern", "Bird Bath", "Trellis"}, []string{"Teak", "Zinc", "Terracotta", "Rattan", "Stone"}, 15, 350},
	{"bath", []string{"Towel Rack", "Mirror", "Soap Dish", "Laundry Basket", "Stool", "Shelf"}, []string{"Bamboo", "Chrome", "Teak", "Brass", "Rattan"}, 9, 180},
	{"dining", []string{"Dining Table", "Dining Chair", "Bench", "Sideboard", "Bar Stool", "Serving Cart"}, []string{"Oak", "Beech", "Walnut", "Elm", "Acacia"}, 59, 1500},
	{"bedroom", []string{"Bed Frame", "Nightstand", "Wardrobe", "Dresser", "Headboard", "Blanket Box"}, []string{"Oak", "Pine", "Ash", "Cherry", "Birch"}, 69, 1600},
	{"office", []string{"Desk", "Office Chair", "Desk Organizer", "Monitor Stand", "Filing Cabinet", "Pinboard"}, []string{"Oak", "Steel", "Cork", "Walnut", "Felt"}, 14, 700},
	{"cookware", []string{"Saucepan", "Frying Pan", "Casserole", "Wok", "Roasting Dish", "Kettle"}, []string{"Copper", "Cast-Iron", "Steel", "Enamel", "Ceramic"}, 19, 280},
	{"kids", []string{"Toy Chest", "Play Table", "Bunk Bed", "Growth Chart", "Night Light", "Rocking Horse"}, []string{"Birch", "Pine", "Beech", "Cotton", "Felt"}, 12, 600},
}

// regions are where customers live.
var regions = []string{"north", "south", "east", "west"}

// style is a look that runs through all departments, and who makes it.
type style struct {
	name   string
	brands []string
}

// styles are in order of how many customers like them.
var styles = []style{
	{"Nordic", []string{"Fjordhem", "Lumi & Co", "Skogvik"}},
	{"Modern", []string{"Ateljee Nine", "Plano", "Werkhaus"}},
	{"Rustic", []string{"Old Barn", "Hearthwood", "Casa Bruna"}},
	{"Industrial", []string{"Rivet Works", "Foundry Lane", "Werkhaus"}},
	{"Classic", []string{"Harrow & Finch", "Maison Perrin", "Hearthwood"}},
	{"Coastal", []string{"Saltmarsh", "Driftline", "Lumi & Co"}},
	{"Retro", []string{"Jukebox Home", "Plano", "Sunday Club"}},
	{"Botanical", []string{"Fernhouse", "Green Room", "Sunday Club"}},
}
