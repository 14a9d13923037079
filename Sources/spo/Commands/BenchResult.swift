import Files
import PipelineCore
import TensorCore

/// Work that can be repeated, and how much of it there is in one run.
struct BenchWork {
  /// Floating-point operations, a multiplication and an addition counting as two.
  var flop: Int?
  /// Bytes read.
  var bytes: Int?
  var items: Int?
  /// Removes what the runs left.
  var cleanUp: () throws -> Void = {}
  var run: () throws -> Void
}

/// What a benchmark measured.
struct BenchResult {
  let name: String
  let work: BenchWork
  /// Of each run, ascending.
  let seconds: [Double]
  /// Of all runs together.
  let profile: OperationProfile?

  /// Runs the work once to warm up, unless it `isCold`, then `runs` times against the clock.
  init(
    name: String, work: BenchWork, runs: Int, isCold: Bool, profile: OperationProfile?
  ) throws {
    self.name = name
    self.work = work
    self.profile = profile
    if !isCold { try work.run() }
    let clock = ContinuousClock()
    func measure() throws -> [Double] {
      try (0..<runs).map { _ in try clock.measure(work.run) / .seconds(1) }
    }
    seconds = try (profile?.record(measure) ?? measure()).sorted()
    try work.cleanUp()
  }

  var median: Double {
    let middle = seconds.count / 2
    return seconds.count.isMultiple(of: 2)
      ? (seconds[middle - 1] + seconds[middle]) / 2 : seconds[middle]
  }

  var json: JSON {
    var fields = JSON.Object()
    fields["name"] = .string(name)
    fields["median_s"] = .number(median)
    fields["min_s"] = .number(seconds[0])
    fields["runs"] = .integer(seconds.count)
    fields["threads"] = .integer(Threads.count)
    fields["peak_rss_mb"] = .number(Self.peakMegabytes)
    for (key, count) in [("flop", work.flop), ("bytes", work.bytes), ("items", work.items)] {
      if let count { fields[key] = .integer(count) }
    }
    if let profile {
      fields["profile"] = .array(BenchProfile(profile, seconds: seconds).rows.map(\.json))
    }
    return .object(fields)
  }

  /// A line, and the profile if there is one.
  var text: String {
    guard let profile else { return line }
    return line + "\n\n" + BenchProfile(profile, seconds: seconds).table
  }

  /// One row of a table: name, milliseconds, rates, memory.
  private var line: String {
    let rates = [
      work.flop.map { "\(Self.rounded(Double($0) / median / 1e9)) GFLOP/s" },
      work.bytes.map { "\(Self.rounded(Double($0) / median / 1e6)) MB/s" },
      work.items.map { "\(Self.rounded(Double($0) / median)) items/s" },
    ].compactMap { $0 }
    let times = [
      name, "median \(Self.rounded(median * 1e3)) ms", "least \(Self.rounded(seconds[0] * 1e3)) ms",
      "\(seconds.count) runs", "\(Threads.count) threads",
      "peak \(Self.rounded(Self.peakMegabytes)) MB",
    ]
    return (times + rates).joined(separator: "  ")
  }

  private static func rounded(_ number: Double) -> Double { (number * 10).rounded() / 10 }

  /// The largest resident memory of the process so far, MiB.
  private static var peakMegabytes: Double { Double(PeakMemory.ofProcess) / 1_048_576 }
}
