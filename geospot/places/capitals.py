"""Capitals and megacities: what a model says that has stopped looking at the photo."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

CAPITALS: Final = """\
AD Andorra la Vella, 42.51, 1.52
AE Abu Dhabi, 24.47, 54.37
AF Kabul, 34.53, 69.17
AG Saint John's, 17.12, -61.85
AL Tirana, 41.33, 19.82
AM Yerevan, 40.18, 44.51
AO Luanda, -8.84, 13.23
AR Buenos Aires, -34.61, -58.38
AT Vienna, 48.21, 16.37
AU Canberra, -35.28, 149.13
AZ Baku, 40.38, 49.89
BA Sarajevo, 43.85, 18.36
BB Bridgetown, 13.10, -59.62
BD Dhaka, 23.71, 90.41
BE Brussels, 50.85, 4.35
BF Ouagadougou, 12.37, -1.53
BG Sofia, 42.70, 23.32
BH Manama, 26.22, 50.58
BI Bujumbura, -3.38, 29.36
BI Gitega, -3.43, 29.93
BJ Porto-Novo, 6.50, 2.60
BN Bandar Seri Begawan, 4.94, 114.95
BO La Paz, -16.50, -68.15
BO Sucre, -19.03, -65.26
BR Brasilia, -15.78, -47.93
BS Nassau, 25.06, -77.34
BT Thimphu, 27.47, 89.64
BW Gaborone, -24.65, 25.91
BY Minsk, 53.90, 27.57
BZ Belmopan, 17.25, -88.77
CA Ottawa, 45.41, -75.70
CD Kinshasa, -4.33, 15.31
CF Bangui, 4.36, 18.55
CG Brazzaville, -4.27, 15.28
CH Bern, 46.95, 7.45
CI Abidjan, 5.31, -4.01
CI Yamoussoukro, 6.82, -5.28
CL Santiago, -33.46, -70.65
CM Yaounde, 3.87, 11.52
CN Beijing, 39.91, 116.40
CO Bogota, 4.61, -74.08
CR San Jose, 9.93, -84.08
CU Havana, 23.13, -82.38
CV Praia, 14.93, -23.51
CY Nicosia, 35.18, 33.36
CZ Prague, 50.09, 14.42
DE Berlin, 52.52, 13.41
DJ Djibouti, 11.59, 43.15
DK Copenhagen, 55.68, 12.57
DM Roseau, 15.30, -61.39
DO Santo Domingo, 18.50, -69.99
DZ Algiers, 36.75, 3.04
EC Quito, -0.23, -78.52
EE Tallinn, 59.44, 24.75
EG Cairo, 30.06, 31.25
ER Asmara, 15.34, 38.93
ES Madrid, 40.42, -3.70
ET Addis Ababa, 9.02, 38.75
FI Helsinki, 60.17, 24.94
FJ Suva, -18.14, 178.44
FM Palikir, 6.92, 158.16
FR Paris, 48.85, 2.35
GA Libreville, 0.39, 9.45
GB London, 51.51, -0.13
GD Saint George's, 12.06, -61.75
GE Tbilisi, 41.69, 44.83
GH Accra, 5.56, -0.20
GM Banjul, 13.45, -16.58
GN Conakry, 9.54, -13.68
GQ Malabo, 3.75, 8.78
GR Athens, 37.98, 23.72
GT Guatemala City, 14.64, -90.51
GW Bissau, 11.86, -15.60
GY Georgetown, 6.80, -58.16
HN Tegucigalpa, 14.08, -87.21
HR Zagreb, 45.81, 15.98
HT Port-au-Prince, 18.54, -72.33
HU Budapest, 47.50, 19.04
ID Jakarta, -6.21, 106.85
IE Dublin, 53.33, -6.25
IL Jerusalem, 31.77, 35.22
IL Tel Aviv, 32.08, 34.78
IN New Delhi, 28.64, 77.22
IQ Baghdad, 33.34, 44.40
IR Tehran, 35.69, 51.42
IS Reykjavik, 64.14, -21.90
IT Rome, 41.89, 12.51
JM Kingston, 18.00, -76.79
JO Amman, 31.96, 35.95
JP Tokyo, 35.69, 139.69
KE Nairobi, -1.28, 36.82
KG Bishkek, 42.87, 74.59
KH Phnom Penh, 11.56, 104.92
KI Tarawa, 1.33, 172.98
KM Moroni, -11.70, 43.26
KN Basseterre, 17.29, -62.73
KP Pyongyang, 39.03, 125.75
KR Seoul, 37.57, 126.98
KW Kuwait City, 29.37, 47.98
KZ Astana, 51.18, 71.45
LA Vientiane, 17.97, 102.60
LB Beirut, 33.89, 35.49
LC Castries, 14.00, -61.01
LI Vaduz, 47.14, 9.52
LK Colombo, 6.93, 79.85
LR Monrovia, 6.30, -10.80
LS Maseru, -29.32, 27.48
LT Vilnius, 54.69, 25.28
LU Luxembourg, 49.61, 6.13
LV Riga, 56.95, 24.11
LY Tripoli, 32.88, 13.19
MA Rabat, 34.01, -6.83
MC Monaco, 43.73, 7.42
MD Chisinau, 47.01, 28.86
ME Podgorica, 42.44, 19.26
MG Antananarivo, -18.91, 47.54
MH Majuro, 7.09, 171.38
MK Skopje, 42.00, 21.43
ML Bamako, 12.65, -8.00
MM Naypyidaw, 19.75, 96.10
MN Ulaanbaatar, 47.91, 106.88
MR Nouakchott, 18.09, -15.98
MT Valletta, 35.90, 14.51
MU Port Louis, -20.16, 57.50
MV Male, 4.17, 73.51
MW Lilongwe, -13.97, 33.79
MX Mexico City, 19.43, -99.13
MY Kuala Lumpur, 3.14, 101.69
MZ Maputo, -25.97, 32.58
NA Windhoek, -22.56, 17.08
NE Niamey, 13.51, 2.11
NG Abuja, 9.06, 7.50
NI Managua, 12.13, -86.25
NL Amsterdam, 52.37, 4.89
NO Oslo, 59.91, 10.75
NP Kathmandu, 27.70, 85.32
NR Yaren, -0.55, 166.93
NZ Wellington, -41.29, 174.78
OM Muscat, 23.61, 58.59
PA Panama, 8.99, -79.52
PE Lima, -12.04, -77.03
PG Port Moresby, -9.44, 147.18
PH Manila, 14.60, 120.98
PK Islamabad, 33.72, 73.04
PL Warsaw, 52.23, 21.01
PS Ramallah, 31.90, 35.20
PT Lisbon, 38.72, -9.13
PW Ngerulmud, 7.50, 134.62
PY Asuncion, -25.30, -57.64
QA Doha, 25.28, 51.52
RO Bucharest, 44.43, 26.11
RS Belgrade, 44.80, 20.47
RU Moscow, 55.75, 37.62
RW Kigali, -1.95, 30.06
SA Riyadh, 24.69, 46.72
SB Honiara, -9.43, 159.95
SC Victoria, -4.62, 55.45
SD Khartoum, 15.55, 32.53
SE Stockholm, 59.33, 18.06
SG Singapore, 1.29, 103.85
SI Ljubljana, 46.05, 14.51
SK Bratislava, 48.15, 17.11
SL Freetown, 8.48, -13.23
SM San Marino, 43.94, 12.45
SN Dakar, 14.69, -17.44
SO Mogadishu, 2.04, 45.34
SR Paramaribo, 5.87, -55.17
SS Juba, 4.85, 31.58
ST Sao Tome, 0.34, 6.73
SV San Salvador, 13.69, -89.19
SY Damascus, 33.51, 36.29
SZ Mbabane, -26.32, 31.13
TD N'Djamena, 12.11, 15.04
TG Lome, 6.14, 1.21
TH Bangkok, 13.75, 100.50
TJ Dushanbe, 38.54, 68.78
TL Dili, -8.56, 125.57
TM Ashgabat, 37.95, 58.38
TN Tunis, 36.82, 10.17
TO Nuku'alofa, -21.14, -175.20
TR Ankara, 39.92, 32.85
TT Port of Spain, 10.67, -61.52
TV Funafuti, -8.52, 179.19
TW Taipei, 25.05, 121.53
TZ Dodoma, -6.17, 35.74
UA Kiev, 50.45, 30.52
UG Kampala, 0.32, 32.58
US Washington, 38.90, -77.04
UY Montevideo, -34.90, -56.19
UZ Tashkent, 41.26, 69.22
VA Vatican City, 41.90, 12.45
VC Kingstown, 13.16, -61.22
VE Caracas, 10.49, -66.88
VN Hanoi, 21.02, 105.84
VU Port-Vila, -17.73, 168.32
WS Apia, -13.83, -171.77
XK Pristina, 42.67, 21.17
YE Sanaa, 15.35, 44.21
ZA Cape Town, -33.93, 18.42
ZA Pretoria, -25.74, 28.19
ZM Lusaka, -15.41, 28.29
ZW Harare, -17.83, 31.05
"""
"""ISO 3166-1 alpha-2, name, latitude and longitude in degrees; coordinates as GeoNames has them. Where a
country has two seats, both."""

MEGACITIES: Final = """\
BR Rio de Janeiro, -22.90, -43.21
BR Sao Paulo, -23.55, -46.64
CN Chengdu, 30.67, 104.07
CN Chongqing, 29.56, 106.55
CN Guangzhou, 23.12, 113.25
CN Nanjing, 32.06, 118.78
CN Shanghai, 31.22, 121.46
CN Shenzhen, 22.55, 114.07
CN Tianjin, 39.14, 117.18
CN Wuhan, 30.58, 114.27
IN Ahmedabad, 23.03, 72.59
IN Bangalore, 12.97, 77.59
IN Chennai, 13.09, 80.28
IN Hyderabad, 17.38, 78.46
IN Kolkata, 22.56, 88.36
IN Mumbai, 19.07, 72.88
JP Nagoya, 35.18, 136.91
JP Osaka, 34.69, 135.50
NG Lagos, 6.45, 3.39
PK Karachi, 24.91, 67.08
PK Lahore, 31.55, 74.34
TR Istanbul, 41.01, 28.95
TZ Dar es Salaam, -6.82, 39.27
US Los Angeles, 34.05, -118.24
US New York City, 40.71, -74.01
VN Ho Chi Minh City, 10.82, 106.63
"""
"""Cities of about ten million people or more that are no capitals."""


@cache
def big_cities() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Latitudes and longitudes in degrees of all C capitals and megacities."""
    rows = [line.rsplit(", ", 2)[1:] for line in (CAPITALS + MEGACITIES).splitlines()]
    latitude_C, longitude_C = np.array(rows, dtype=np.float64).T
    return latitude_C, longitude_C
