"""A table of prices is read as it is meant, or refused with the number of the line."""

import numpy as np
import pytest

from minirnn.datasets import stock

HEAD = "Date,Open,High,Low,Close\n"
FIRST = "2012-01-03,1,2,3,4\n"


def read(tmp_path, text):
    (tmp_path / "prices.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return stock.read_prices(tmp_path / "prices.csv")


@pytest.mark.parametrize("text", [
    HEAD + FIRST + "2012-01-04,2,2,2,2.5\n",
    "\ufeff" + HEAD + FIRST + "2012-01-04,2,2,2,2.5",  # a mark of the byte order
    (HEAD + FIRST + "2012-01-04,2,2,2,2.5\n").replace("\n", "\r\n"),
    (HEAD + FIRST + "2012-01-04,2,2,2,2.5\n").replace("\n", "\r"),
    "Close,Volume,Low,High,Open,Date\n4,9,3,2,1,2012-01-03\n\n2.5,9,2,2,2,2012-01-04\n",
    HEAD.replace(",", '","').replace("D", '"D').replace("e\n", 'e"\n') + FIRST +
    "2012-01-04,2,2,2,2.5\n",
])  # fmt: skip
def test_the_days_and_the_mean_prices(text, tmp_path):
    days, prices = read(tmp_path, text)
    assert days.dtype == "datetime64[D]" and days.astype(str).tolist() == [
        "2012-01-03", "2012-01-04",
    ]  # fmt: skip
    assert np.array_equal(prices, [2.5, 2.125])


@pytest.mark.parametrize("date", [
    "", "NaT", "today", "now", "2012", "2012-01", "20120104", "2012-02-30", "2012-01-04T00",
    " 2012-01-04", "12-01-04", "\u0662012-01-04", "2012-W02-1", "0000-01-01", "2012-01-03",
    "2012-01-02",
])  # fmt: skip
def test_a_date_that_is_none_or_not_later_is_refused(date, tmp_path):
    with pytest.raises(ValueError, match=r"prices.csv: line 3: expected Date, Open, High, Low, "):
        read(tmp_path, HEAD + FIRST + f"{date},1,2,3,4\n2013-01-01,1,2,3,4\n")


@pytest.mark.parametrize("price", [
    "", "x", "1_0", "nan", "inf", "1e400", "-1", "0", "0.0", " 1", "1,5", "\u0661", "0x1",
    "9" * 400,
])  # fmt: skip
def test_a_price_that_is_none_is_refused(price, tmp_path):
    with pytest.raises(ValueError, match=r"prices.csv: line 3: expected Date, Open, High, Low, "):
        read(tmp_path, HEAD + FIRST + f"2012-01-04,1,2,3,{price}\n2013-01-01,1,2,3,4\n")


@pytest.mark.parametrize("text, message", [
    ("", "line 1: expected Date"),
    (HEAD, "expected at least two days"),
    (HEAD + FIRST, "expected at least two days"),
    (HEAD.replace("Low", "low") + FIRST, "line 1: .*columns"),
    (HEAD.replace("Low", "High") + FIRST, "line 1: .*columns"),
    (HEAD + "\n\n2012-01-03,1,2\n", "line 4: .*Low: finite prices are above 0, got None"),
    (HEAD + '2012-01-03,1,2,3,"4\n', "line 2: "),
    (HEAD + '2012-01-03,1,2,3,"4"5\n', "line 2: .*expected after"),
    (HEAD.replace("\n", ",Close\n") + "2012-01-03,1,2,3,4,5\n", "line 1: .*columns"),
    (HEAD + "2012-01-03,1,2,3,4,5\n", "line 2: .*got more values than the 5 of line 1"),
    (HEAD + "2012-01-03,1,2,3," + "4" * 200_000, "line 2: .*field"),
    ((HEAD + FIRST).encode("utf-16"), "not UTF-8 at offset 0"),
])  # fmt: skip
def test_a_table_of_another_form_is_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=f"prices.csv: {message}"):
        read(tmp_path, text)
