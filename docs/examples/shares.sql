SELECT whole.timestamp, whole.state, part.exchange, part.volume / whole.volume AS share
FROM market_data_real AS whole
JOIN market_data_real AS part USING (market, symbol, timeframe, timestamp)
WHERE whole.source = 'consolidated' AND part.source = 'trades'
  AND whole.timeframe = '1m' AND whole.volume > 0
ORDER BY whole.timestamp, part.exchange;
