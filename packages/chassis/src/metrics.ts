import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

interface MetricOptions<L extends string> {
  /** With the prefix `sluice_`, a unit where it has one, and `_total` for a counter. */
  readonly name: string;
  readonly help: string;
  /** Labels take values of bounded sets only, never foreign text. */
  readonly labels?: readonly L[];
}

/** The metrics of one process. Names that Prometheus' own linter would refuse are a mistake and throw. */
export interface Metrics {
  /** `collect` runs at each scrape, on a counter that begins at 0, for what is counted elsewhere. */
  counter<L extends string = never>(
    options: MetricOptions<L> & { readonly collect?: (counter: Counter<L>) => void },
  ): Counter<L>;
  /** `collect` runs at each scrape and sets the value. */
  gauge<L extends string = never>(
    options: MetricOptions<L> & { readonly collect?: (gauge: Gauge<L>) => void | Promise<void> },
  ): Gauge<L>;
  histogram<L extends string = never>(
    options: MetricOptions<L> & { readonly buckets: readonly number[] },
  ): Histogram<L>;
  /** Prometheus text format 0.0.4. */
  text(): Promise<string>;
  readonly contentType: string;
}

// Gauges with a counter's name: `promtool check metrics` refuses them.
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];
const NAME = /^sluice_[a-z][a-z0-9_]*[a-z0-9]$/;

/** A registry of its own (no global state) that begins with the process' and Node's metrics. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  const common = <L extends string>({ name, help, labels = [] }: MetricOptions<L>, counter: boolean) => {
    if (!NAME.test(name)) throw new Error(`metric ${name}: the name must match ${String(NAME)}`);
    if (name.endsWith('_total') !== counter) throw new Error(`metric ${name}: "_total" ends counters and nothing else`);
    return { name, help, labelNames: labels, registers: [registry] };
  };
  return {
    counter: <L extends string>(options: MetricOptions<L> & { readonly collect?: (counter: Counter<L>) => void }) => {
      const { collect } = options;
      const counter = new Counter<L>({
        ...common(options, true),
        ...(collect !== undefined && {
          collect: () => {
            counter.reset();
            collect(counter);
          },
        }),
      });
      return counter;
    },
    gauge: <L extends string>(
      options: MetricOptions<L> & { readonly collect?: (gauge: Gauge<L>) => void | Promise<void> },
    ) => {
      const { collect } = options;
      const gauge: Gauge<L> = new Gauge<L>({
        ...common(options, false),
        ...(collect !== undefined && { collect: () => collect(gauge) }),
      });
      return gauge;
    },
    histogram: (options) => new Histogram({ ...common(options, false), buckets: [...options.buckets] }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
