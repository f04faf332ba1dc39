SELECT symbol, timestamp, open, high, low, close, volume, trades_count, state
FROM market_data
WHERE timeframe = '1m'
ORDER BY timestamp DESC
LIMIT 10;
