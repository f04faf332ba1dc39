SELECT symbol, sum(price * size) / sum(size) AS average_price
FROM trades_real
GROUP BY symbol;
