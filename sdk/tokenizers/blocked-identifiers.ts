/**
 * Short strings that already mean something to a text encoder, so that they cannot name a new subject: what they
 * mean would leak into every picture, or they would offend. All are lower case, one to three letters mostly, as
 * identifiers are; a group a line of thought, not a claim to completeness.
 */
const groups = {
  englishWords: `
    a abs ace act add ado ads adz aft age ago aha aid ail aim air ait ale all alp and ant any ape apt arc are ark
    arm art as ash ask asp ass at ate awe awk awl awn axe aye azo bad bag bah ban bar bat bay be bed bee beg bet bib
    bid big bin bit boa bob bog boo bow box boy bra brr bud bug bum bun bus but buy by bye cab cad cam can cap car
    cat caw cob cod cog con coo cop cos cot cow coy cry cub cud cue cup cur cut dab dad dam day deb den dew did die
    dig dim din dip do doc doe dog don dot dry dub dud due dug dun duo dye ear eat ebb eek eel egg ego eke elf elk
    elm emu end eon era erg err eve ewe eye fab fad fan far fat fax fay fed fee fem fen few fey fez fib fie fig fin
    fir fit fix flu fly fob foe fog fop for fox fro fry fun fur gab gad gag gal gap gas gay gee gel gem get gig gin
    gnu go gob god goo got gum gun gut guy gym had hag hah ham hap has hat haw hay he hem hen hep her hew hex hey hi
    hid hie him hip his hit ho hob hoe hog hoh hop hot how hub hue hug huh hum hut i ice icy if ill imp in ink inn
    ion ire irk is it its ivy jab jag jam jar jaw jay jet jib jig job jog jot joy jug jut keg ken key kid kin kit
    kea lab lac lad lag lam lap law lax lay lea led lee leg lei let lid lie lip lit lob log loo lop lot low lox lug
    lux lye mad man map mar mat maw may me men met mew mid mix mob mod mog mom moo mop mow mud muck mug mum my nab
    nag nap nay net new nib nil nim nip nit nix no nod nor not now nub nun nut oak oar oat odd ode of off oft ohm
    oho oil old on one oof oops opt or orb orc ore our out ova owe owl own ox pad pal pan pap par pat paw pax pay
    pea peg pen pep per pet pew pex pi pic pie pig pin pip pit pix ply pod poi pop pot pow pox pro pry pub pug pun
    pup pus put pyx quo rag ram ran rap rat raw ray red ref rep rex rib rid rig rim rip rob roc rod roe rot row rub
    rue rug rum run rut rye sac sad sag sap sat saw say sea see set sew sex she shy sic sim sin sip sir sis sit six
    ski sky sly so sob sod sog sol son sop sot sou sow soy spa spy sty sub sue sum sun sup tab tad tag tai tan tap
    tar tat tax tea ted tee ten the thy tic tie til tin tip to tod toe tog tom ton too top tor tot tow toy try tub
    tug tum tut tux two ugh uke ump ums up urn us use uta van vat veg vet vex via vie vig vim vow wad wag wan war was
    wax way we web wed wee wen wet who why wig win wit woe wok won woo wow wry wye yak yam yap yaw yay yea yeh yen
    yep yes yet yew yin yip yo yob yom yon you yow yum yup zag zap zed zen zig zip zit zoo
    ow ya ye yeo yuh um uh er ah oh ha hm aww aw nah duh hmm meh shh pff ugh yoy uwu owo neh heh`,
  otherLanguages: `
    aaj abo aga agg aig aik aqui aua bez bin bom cae cai cau che cum cur das dav deg del dem der des die din doa dos
    ein ele ella eres est ete eto eus fez fik foi fue gia gli gno haj hai han hap hei het hoc hom ich ihr ils izo
    jai jeg jic jio ka kab kai kak kar kas kat kaw ke ki kis kya las les leo loi los lue lui luz mah mai mal mas mei
    mek mes met mia mie mil mir mis moi mon muy nad nas nel nem nen ner nie niu noc noh non nos noo nur oder ofi oku
    olt olu ona oti oui oue pas per pik pis pli por pro que qui rai reu roi rui sai san sei seu sic siu sol som son
    sou sua sue sur tak tal tam tan tej tes tha tis tod tua tul tus tya tye uer uit uma una und une uno uth uwe van vas
    ved vel vez via vom von vor vos vot vous wai was weg wie wir wod wol cak fre jiu kko mez muh ruk sof sok yad yao yel yah yan zah zam zeb zek zog zum zur`,
  names: `
    abe abi ada adi aja ali ana ann ari ava baz bea ben bob cal chi dag dan dax deb des don dov dru dre ed eli ema eph
    eva eve fay fei flo gus guy hal ian ida ike ila ina ira isa iva ivy izz jan jay jed jen jim jin joe jon kai kay
    ken kev kia kim kit koo lee leo les lex lia lin liu liv liz lou luc luz lyn mac mae mai max meg mei mel mia mo mya
    nan nat ned neh nia niv noa nik obi ola oli ora pam pat paz pia qi ray raj reg ren rex ria rio rob rod ron roy rui
    sal sam sid sky sua sue suk taj tam ted tej tia tim tod tom tua una uma van vic viv von wes win wu xi xin yan
    yao yeo yue yui abd ayu daz lix lun lys mik muh nuh raa roxy tyl waj yoh zac zak zed zeb zoe zia`,
  acronyms: `
    abc acl acm acr acu adb adc adhd adl adn adp adr aew afd afs ai aka alz am ama aoa aol api app arl arr asl asr atm
    atr awg awp bbc bbq bcc bdg bgs bgt bhk bln blr bma bmi bmw bmx bnp bpa bpd bpm brb brc brs brt bsa bse bsf bsp
    cad cam cbd cbe cbp cbs ccd ccl ccm ccp ccu cda cdc cdo ceo cfd cfo cfp cfr cgi chd cia cii cir cli cls cmc cmt cmu
    cna cng cnn cns cov cpi cpr cpu crt cse csg csk csm csn cso csw cv cws dbs dca dcs dcu ddc ddi dds dfc dfw dhs dif
    dih diy dj dma dmv dmx dna dns dod dsa dsd dsp dss dtm dts dui dvd dwp ead eba ebo ecg ecr edm edp eec eeg eff
    ega ehs emp emt ens epa esg esl esp esq eta eu exe fae faf faq fas fbi fbs fcc fcu fda fdi fdr ffs fha fhs fim fis
    fle fnc fpv frc fta ftp ftw fyi gbc gdp gif gnc gop gpa gps gpu grc gsa gsc gsp gst gtg gup hbo hcs hd hdd hdr
    hgv hiv hmv hns hov hpv hq hr hrt hsc hsv html iac iaf ibc ibd ibs ibu icc icn icu icz idc idh iec ifu imc imf imo
    inc inv ioc ios ip ipc ipo irc irl irn iru isf isp it ivf jdm jfc jpg kgb khz kgs kpi kpk kph ksu kts la laq lbj
    lbs lcd led lgbt lhp llc lls lmp lol lpc lpg lsd lse ltd mba mbi mbu mci mdc mds mdt mfa mgs mgt mha mhz mib mit
    mlb mlg mls mmc mmj mmo mnd mnf moc mp mpg mpi mps mri mrs msi msl msn mss mtb mtg mth mtr mtv muc mvc mvp mwf naf
    nasa nato nba nbc nbl ncs ndc ndi nec neu nev nfc nfl ngo nhc nhl nhq nhs nmd nme npa npc npt nra nrc nrf nrg nsa
    nsw ntv nwo nyc nyk nyo occ odo ohl oic omd omf omg onf opi osu oth pbb pbc pbs pc pca pcm pcr pdc pdf pfa pga
    pgs ph phc phd pkg pm pmi pms png poa pos pow ppl ppm pr psa psc psd pss psv ptc ptsd pte ptv pv pvc pvp qa qb qm
    qtr rbi rcb rda rdr req rfc rip rms rna rof rom rop rpa rpg rps rsc rsl rss rsvp rt rti rtr rv rwa sat sba sbi sbu
    scd sci scp sdc sdk sdn sec seo seq sez sf sff sgh shc sms snf snl soc sog soi sos spf spp sql sqm sqn srs ssd
    ssg ssh ssl sst std stem stg stm stx svc svg svt swat swc swi sym tb tba tbc tbd tbh tbi tbl tbr tbs tbt tcp tdi tdp
    tgif tls tms tmw tnt tpm trc tsb tsk tsm ttm ttu tuc tv tvc twa twc ucc ucd ucf ucn ucl uff ufo uhc uk ulf umd un unc
    unl upd upp ups urd url usa usb usc usd usl usm usn usu utc utm uv vcr vcs vcu vfx vip vpn vr wbo wdw wip wma
    wra wri wrs wsl wsw wti wto wtf wud wwe wwf wwi wwx www xvi xml yql ysl ytd yte zip dnd nft wnt lmp crm erp gmt aml aub bgc bsd bsu cec clg evp fod gx hta hts ija jnu kap kke kkr mtc nep nir nts pkk rcn skc slp smi
    hyd blr ccm mpl ipl dlf tdp bjp aap inc ndtv`,
  brandsAndPlaces: `
    adidas amd aol asus att audi bmw bsnl bnp btn cnn dbz dell dhl dior dkny ebay edf esso fiat fila fox gap gmc gsk
    gucci hbo hmv hp htc ibm ikea ing jbl jcb jvc kfc kia lego lg lidl mac mgm msi msn mtv nec nhk nike nikon npr nrg
    opi oxo pepsi prada ps psp ptv puma rca rolex saab sap seat sega shell sony sst stx svc tcl tdk tesco tsb ubs ups
    vans visa vw xbox ysl zara aus bel bgd blr can che chn del den dub esp fin fra gau ger ghc goa gre hkg idn ind ire
    isl ita jap jpn ken khi kor kwa lag lax lbn lhr lon mex mia mum mvd nad ned nor nyc nyk oma par phi phl pol por qld
    rio rom rsa rus sfo sgp soc spa sua swe syd tai tas tel tex tx uae uk usa vic vie wal wdw yul yyz zim atl bos chi
    cle dal hou lal mem mil min okc orl phx sac tor uta was ari cin ind jac kan tam ten akb aon cav msy tvn vk`,
  weapons: `ak akm ar awp fal fn gat gau glock gun hk icbm kar m4 m16 nuke rpg sks smg tec tnt uzi sst sub svd stg scar`,
  drugsAndSex: `bdsm bj bong cbd coke cum dmt dope gbh ghb hash lsd mdma meth milf ns nsfw nude pcp porn pot sex smm std stf
    tit tits thc tug vag weed xtc xxx`,
  slurs: `abo arse ass chk chink cunt dago dyke fag fck fuc fuk fu gook gyp hag ho jap jew kike kkk kys nazi negro nig
    paki pis poof rtd sht shit slag slt slut smd spic stfu tard tit twt wap wog wop wth yid fk`,
  internet: `afk bff bruh btw dm fb fml fr gg gif gm gn icymi idk ig ikr imy jk kk lel lmk lol lyf lyk lms mfw mrt ngl
    nvm ofc oof ohn omw pls plz ppl pov qt rlly rn rofl rt rts smfh smh tbh tfw thn thx tmi tmw txt ty ur uwu wbu wyd
    yolo yt yw yao xo xoxo xx hii hyd yey kaj ift ifb noo soo tho tru ima gon cuz coz bae boi bro fam lit yas yum zzz fre laa sne szn tq weh`,
  toolsAndUnits: `
    cc cm cwt db dpi dr est etc ex fps ft gal gb ghz gm hp hr hz ie jr kb kbs kf kg kgs khz kj km kw kwh lb lbs mb mg
    mhz ml mm mn mph ms mw nm no oz pcs pkt pp ppi psi pt qty rpm sec sq sr st sz tbs tsp vol vs wt yd yds yr
    awk cke cmd cpp css dev doc env exe fmt gcc git gnu gui hex ide img int jar jit js json kde len lib lua mov mvc nim
    npm nul obj php ppa psd py rar raq rgb rtf sdk sed src ssh std str sudo sys tar tex tmp ttf tts txt usr var vim xls
    xml yml zsh
    jan feb mar apr jun jul aug sep oct nov dec mon tue wed thu fri sat sun`,
} as const;

/** The reasons to avoid an identifier, by identifier: the names of the groups it is in. */
export const blockedIdentifiers: ReadonlyMap<string, string> = new Map(
  Object.entries(groups).flatMap(([group, words]) =>
    words
      .trim()
      .split(/\s+/)
      .map((word) => [word, reasonOf(group)] as const),
  ),
);

function reasonOf(group: string): string {
  const reasons: Readonly<Record<string, string>> = {
    englishWords: 'is an English word',
    otherLanguages: 'is a word of another language',
    names: 'is a name',
    acronyms: 'is an abbreviation',
    brandsAndPlaces: 'is a brand or a place',
    weapons: 'is a weapon',
    drugsAndSex: 'is about drugs or sex',
    slurs: 'is, or is close to, an insult',
    internet: 'is common in chats',
    toolsAndUnits: 'is a unit, a tool or a date',
  };
  return reasons[group] ?? 'already means something';
}
