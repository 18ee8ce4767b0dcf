"""The shop's database: SQLite, with the delay a real one has over a network."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from shop_agent import data

SCHEMA = """
CREATE TABLE products (sku TEXT PRIMARY KEY, name TEXT, category TEXT, price REAL, stock INTEGER);
CREATE TABLE customers (customer_id TEXT PRIMARY KEY, email TEXT UNIQUE, name TEXT, city TEXT);
CREATE TABLE orders (order_id TEXT PRIMARY KEY, customer_id TEXT, placed_on TEXT, tracking_id TEXT, status TEXT);
CREATE TABLE items (order_id TEXT, sku TEXT, quantity INTEGER);
CREATE TABLE returns (return_id INTEGER PRIMARY KEY, order_id TEXT UNIQUE, reason TEXT);
"""

DELAYS_S = {
    "get_customer": 0.09,
    "list_orders": 0.14,
    "get_order": 0.11,
    "search_products": 0.22,
    "open_return": 0.11,
}


class Shop:
    """A freshly filled shop. Every query opens its own connection, so any thread may ask.

    Args:
        latency: Factor on the delays of `DELAYS_S`; 0 answers at once.

    Unknown customers and orders are answered with an `error`, which a model can read.
    """

    def __init__(self, *, latency: float = 1.0) -> None:
        self._latency = latency
        self._folder = tempfile.TemporaryDirectory(prefix="shop-", ignore_cleanup_errors=True)
        self._path = Path(self._folder.name) / "shop.db"
        with closing(sqlite3.connect(self._path)) as db, db:
            db.executescript(SCHEMA)
            db.executemany("INSERT INTO products VALUES (?, ?, ?, ?, ?)", data.PRODUCTS)
            db.executemany("INSERT INTO customers VALUES (?, ?, ?, ?)", data.CUSTOMERS)
            for order_id, customer_id, placed_on, items, tracking_id in data.ORDERS:
                row = (order_id, customer_id, placed_on, tracking_id, "paid")
                db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", row)
                db.executemany("INSERT INTO items VALUES (?, ?, ?)", [(order_id, *item) for item in items.items()])

    def close(self) -> None:
        """Remove the database."""
        self._folder.cleanup()

    def get_customer(self, email: str) -> dict[str, Any]:
        """The customer with this address."""
        self._travel("get_customer")
        rows = self._rows("SELECT * FROM customers WHERE email = ?", email.strip().lower())
        return rows[0] if rows else {"error": f"no customer has the address {email}"}

    def list_orders(self, customer_id: str) -> dict[str, Any]:
        """A customer's orders, newest first."""
        self._travel("list_orders")
        newest_first = "SELECT order_id, placed_on FROM orders WHERE customer_id = ? ORDER BY placed_on DESC"
        return {"customer_id": customer_id, "orders": self._rows(newest_first, customer_id)}

    def get_order(self, order_id: str) -> dict[str, Any]:
        """One order with its items."""
        self._travel("get_order")
        rows = self._rows("SELECT * FROM orders WHERE order_id = ?", order_id)
        if not rows:
            return {"error": f"there is no order {order_id}"}
        items = "SELECT sku, name, category, price, quantity FROM items JOIN products USING (sku) WHERE order_id = ?"
        return {**rows[0], "items": self._rows(items, order_id)}

    def search_products(self, query: str) -> dict[str, Any]:
        """Products whose name or category holds the words of *query*, those in stock first."""
        self._travel("search_products")
        match = "SELECT * FROM products WHERE name || ' ' || category LIKE ? ORDER BY stock = 0, price"
        return {"query": query, "products": self._rows(match, f"%{query.strip()}%")}

    def open_return(self, order_id: str, reason: str) -> dict[str, Any]:
        """Open a return, or find the one that is open already. Writes."""
        self._travel("open_return")
        with closing(sqlite3.connect(self._path, timeout=10)) as db, db:
            changed = db.execute("UPDATE orders SET status = 'return opened' WHERE order_id = ?", [order_id])
            if not changed.rowcount:
                return {"error": f"there is no order {order_id}"}
            db.execute("INSERT OR IGNORE INTO returns (order_id, reason) VALUES (?, ?)", [order_id, reason])
        return self.returns(order_id)[0]

    def returns(self, order_id: str = "%") -> list[dict[str, Any]]:
        """The returns opened so far."""
        return self._rows("SELECT * FROM returns WHERE order_id LIKE ? ORDER BY return_id", order_id)

    def _rows(self, query: str, *values: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self._path, timeout=10)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(query, values)]

    def _travel(self, query: str) -> None:
        time.sleep(DELAYS_S[query] * self._latency)
