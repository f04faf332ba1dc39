-- Minutes of the last day that can be trusted, and how many cannot.
SELECT exchange, symbol, state, count(*) AS bars
FROM market_data
WHERE timeframe = '1m' AND timestamp >= datetime('now', '-1 day')
GROUP BY exchange, symbol, state;
