package tracking

import (
	"io"
	"slices"
	"strings"

	"github.com/mageline/mageline/internal/table"
)

// words are what columns are called in English, German, French, Spanish, Italian and Dutch, the surest ones first, in the form of
// plainWord.
var words = [columns]string{
	columnOrder: `ordernumber orderno ordernr ordernum orderid orderreference orderref ordercode salesordernumber salesorderno salesorder
		customerordernumber customerorder shopordernumber webordernumber storeorderid externalorderid externalorderreference incrementid
		magentoorder merchantorderid purchaseordernumber purchaseorder ponumber ponum order
		bestellnummer bestellnr bestellungsnummer bestellungsnr bestellid bestellung auftragsnummer auftragsnr auftragnr auftragsid auftrag
		kundenauftragsnummer kundenauftrag bestellreferenz auftragsreferenz
		numerodecommande numerocommande ndecommande ncommande nocommande nodecommande numcommande idcommande referencecommande
		referencedecommande referencedelacommande refcommande boncommande commande
		numerodepedido numerodelpedido numeropedido npedido nodepedido nopedido nropedido nrodepedido ndepedido numpedido idpedido
		idpedidocliente referenciapedido referenciadelpedido codigopedido refpedido pedido numerodeorden numeroorden ordendecompra orden
		numeroordine numerodordine numerodiordine nordine nrordine noordine numordine idordine codiceordine riferimentoordine rifordine ordine
		bestelnummer bestelnr bestellingnummer bestellingsnummer bestelling ordernummer orderreferentie verkoopordernummer verkooporder
		channelreference customerreference customerref clientreference yourreference externalreference sendungsreferenz kundenreferenz
		ihrereferenz referenceclient refclient referenciacliente riferimentocliente klantreferentie uwreferentie
		referencenumber reference referenznummer referenznr referenz referencia riferimento referentie referentienummer belegnummer`,
	columnTracking: `trackingnumber trackingno trackingnr trackingnum trackingnumbers trackingcode trackingid tracknumber trackno
		carriertrackingnumber shipmenttrackingnumber trackingreference trackingref trackandtracecode trackandtracenumber trackandtrace
		tracktrace trackingbarcode tracking consignmentnumber consignmentno waybillnumber waybill airwaybill awbnumber awb parcelnumber
		parcelno packagenumber connote
		sendungsnummer sendungsnr sendungsverfolgungsnummer sendungsverfolgungsnr sendungsverfolgung sendungsid sendungscode paketnummer
		paketnr paketscheinnummer paketscheinnr trackingnummer frachtbriefnummer frachtbriefnr identcode verfolgungsnummer
		packstucknummer packstuecknummer collinummer sendung
		numerodesuivi numerosuivi ndesuivi nsuivi nosuivi numsuivi codesuivi codedesuivi numerodetracking numerotracking suivicolis suivi
		numerodecolis numerocolis ndecolis ncolis nocolis numerodexpedition numeroexpedition lettredevoiture bordereau
		numerodeseguimiento numeroseguimiento ndeseguimiento nseguimiento codigodeseguimiento codigoseguimiento seguimiento numerodeenvio
		numeroenvio nenvio codigodeenvio codigoenvio numerodeguia numeroguia nguia guia localizador numeroexpedicion numerodeexpedicion
		codicetracking codiceditracking numeroditracking numeroditracciamento numerotracciamento codicetracciamento codicetracciatura
		tracciamento letteradivettura numeroldv ldv numerospedizione numerodispedizione nspedizione nrspedizione codicespedizione numerocollo
		trackingnummer traceercode traceernummer tracktracecode trackentracecode trackentracenummer trackentrace ttcode zendingnummer zendingsnummer
		zendingsnr zendingnr pakketnummer pakketnr verzendnummer vrachtbriefnummer zending barcode`,
	columnCarrier: `carriercode carrier carriername shippingcarrier shippingcarrierused shipmentcarrier courier couriername shippingprovider
		trackingprovider deliverycarrier shipvia versanddienstleister paketdienstleister paketdienst dienstleister frachtfuhrer frachtfuehrer
		spediteur zusteller versandart transporteur nomdutransporteur nomtransporteur transportista agenciadetransporte empresadetransporte
		mensajeria agencia corriere vettore spedizioniere vervoerder koerier pakketdienst bezorger verzendmethode`,
	columnShipment: `shipmentnumber shipmentincrementid`,
	columnSKU: `sku itemsku productsku componentsku itemcode itemnumber itemno productcode partnumber artikelnummer artikelnr artnr
		artikelcode artikel referencearticle referenceproduit refarticle codearticle codeproduit referenciaproducto referenciaarticulo
		codigoarticulo codigodearticulo codigoproducto codigodeproducto codicearticolo codiceprodotto articolo productcode productnummer`,
	columnQuantity: `quantity qty quantityshipped shippedquantity qtyshipped shippedqty itemqty itemquantity menge anzahl stuckzahl
		stueckzahl liefermenge quantite qte quantiteexpediee quantitelivree cantidad cant unidades quantita qta quantitaspedita aantal
		hoeveelheid stuks`,
}

// plain takes accents off the letters that the six languages have.
var plain = strings.NewReplacer("ä", "a", "ö", "o", "ü", "u", "ß", "ss", "é", "e", "è", "e", "ê", "e", "ë", "e", "à", "a", "á", "a", "â", "a", "ç", "c",
	"í", "i", "ì", "i", "î", "i", "ï", "i", "ñ", "n", "ó", "o", "ò", "o", "ô", "o", "ú", "u", "ù", "u", "û", "u")

// plainWord returns the name of a column as words have it: small letters and digits alone, without accents.
func plainWord(name string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, plain.Replace(strings.ToLower(name)))
}

// Propose returns columns that would probably fit a file with a header of names: the file's names by ours.
func Propose(names []string) map[string]string {
	found, used := map[string]string{}, map[int]bool{}
	for column, known := range words {
		best, least := -1, 0
		for i, name := range names {
			word := plainWord(name)
			if word == "" || used[i] {
				continue
			}
			rank := slices.Index(strings.Fields(known), word)
			if word == plainWord(columnNames[column]) {
				rank = 0
			}
			if rank >= 0 && (best < 0 || rank < least) {
				best, least = i, rank
			}
		}
		if best >= 0 {
			used[best] = true
			found[columnNames[column]] = names[best]
		}
	}
	return found
}

// ProposeFor returns columns that would probably fit a file, and nil where not even one that rows need is found.
func ProposeFor(f io.ReadSeeker, about table.About) map[string]string {
	needed := func(names []string) int {
		found := Propose(names)
		n := len(found)
		for _, column := range []int{columnOrder, columnTracking} {
			if _, there := found[columnNames[column]]; there {
				n += 10
			}
		}
		if n < 10 {
			return 0
		}
		return n
	}
	t, err := table.NewReader(f, about, table.Options{Header: needed})
	if err != nil {
		return nil
	}
	return Propose(t.Names())
}
