/**
 * The counts that a fair weighted split shows in all but `alpha` of its runs: the smallest interval [low, high] around the mean of a
 * binomial distribution with at most alpha / 2 on either side, by summing its probabilities exactly (in logarithms).
 */
export function binomialBounds(n: number, p: number, alpha: number): { readonly low: number; readonly high: number } {
  const probability = probabilities(n, p);
  let low = 0;
  for (let below = probability[0] ?? 0; below <= alpha / 2; below += probability[low] ?? 1) low += 1;
  let high = n;
  for (let above = probability[n] ?? 0; above <= alpha / 2; above += probability[high] ?? 1) high -= 1;
  return { low, high };
}

function probabilities(n: number, p: number): number[] {
  const logs: number[] = [n * Math.log(1 - p)];
  for (let k = 1; k <= n; k++) logs.push((logs[k - 1] ?? 0) + Math.log((n - k + 1) / k) + Math.log(p / (1 - p)));
  return logs.map(Math.exp);
}
