import Autograd
import Backends
import Checkpoints
import Devices
import Files
import HostResources
import PipelineCore

/// Work that can be repeated, and how much of it there is in one run.
struct BenchWork {
  /// Tells it from the other sizes of a benchmark.
  var size = ""
  var batch: Int?
  /// Floating-point operations, a multiplication and an addition counting as two; nil: what its
  /// operations come to.
  var flop: Int?
  /// Bytes read; of operators, read and written.
  var bytes: Int?
  var items: Int?
  /// What others need to do the same, images channels-last.
  var inputs: [String: Tensor] = [:]
  /// Removes what the runs left.
  var cleanUp: () throws -> Void = {}
  /// Returns what the inputs led to, where it can be compared.
  var run: () throws -> [String: Tensor]
}

/// What a benchmark measured.
struct BenchResult {
  struct Case {
    let work: BenchWork
    /// Of one run; nil if nothing was counted.
    let flop: Int?
    /// Of each run, ascending.
    let seconds: [Double]
    /// Of the first run.
    let outputs: [String: Tensor]
  }

  let name: String
  let cases: [Case]
  /// Nil: the host.
  private let device: DeviceBackend?
  /// Of all runs together.
  let profile: OperationProfile?

  /// Runs each piece of work to warm up, unless the schedule is cold, then against the clock.
  ///
  /// - Parameters:
  ///   - device: what computes, and is waited for; nil: the host
  ///   - keepsOutputs: of the first run, which warms up unless the schedule is cold
  init(
    name: String, _ works: [BenchWork], on device: DeviceBackend?, schedule: BenchSchedule,
    profile: OperationProfile?, keepsOutputs: Bool
  ) throws {
    self.name = name
    self.device = device
    self.profile = profile
    cases = try works.map { work in
      // A profile of its own takes the place of the one that was asked for.
      let counted = OperationProfile()
      var outputs =
        schedule.isCold ? nil : try Self.warmUp(work, counted, keepsOutputs: keepsOutputs)
      func measure() throws -> [Double] {
        try schedule.measure {
          let found = try work.run()
          device?.finish()
          if keepsOutputs, outputs == nil { outputs = found }
        }
      }
      let seconds = try profile?.record(measure) ?? measure()
      try work.cleanUp()
      return Case(
        work: work, flop: work.flop ?? (counted.flop > 0 ? counted.flop : nil), seconds: seconds,
        outputs: outputs ?? [:])
    }
  }

  /// Runs work until new threads have found processors of their own.
  ///
  /// - Parameter profile: of the first run
  /// - Returns: what the first run led to, if it is kept
  private static func warmUp(
    _ work: BenchWork, _ profile: OperationProfile, keepsOutputs: Bool
  ) throws -> [String: Tensor]? {
    let clock = ContinuousClock()
    let end = clock.now + .milliseconds(200)
    let outputs = try profile.record { () -> [String: Tensor]? in
      let found = try work.run()
      return keepsOutputs ? found : nil
    }
    while clock.now < end { _ = try work.run() }
    return outputs
  }

  /// Writes inputs and outputs of every case, `NUMBER.NAME`, as safetensors.
  func save(to path: String) throws {
    let tensors = cases.enumerated().flatMap { number, part in
      part.work.inputs.merging(part.outputs) { $1 }.map { name, tensor in
        OutgoingTensor("\(number).\(name)", shape: tensor.shape, floats: { tensor.values })
      }
    }
    try writeSafetensors(tensors, to: path)
  }

  /// One object; of several sizes the sums, and an object for each.
  var json: JSON {
    var fields = JSON.Object()
    fields["name"] = .string(name)
    if cases.count == 1, let only = cases.first {
      only.describe(in: &fields)
    } else {
      fields["median_s"] = .number(cases.reduce(0) { $0 + $1.median })
      fields["min_s"] = .number(cases.reduce(0) { $0 + $1.seconds[0] })
      fields["runs"] = .integer(cases.reduce(0) { max($0, $1.seconds.count) })
    }
    fields["threads"] = .integer(Threads.count)
    fields["peak_rss_mb"] = .number(Double(PeakMemory.ofProcess) / 1_048_576)
    if let device {
      fields["device"] = .string(device.name)
      fields["device_peak_mb"] = .number(Double(device.peakBytes) / 1_048_576)
      // Of binary16 tensor cores do twice as much as of TF32.
      let (single, tensor) = (device.description.peakRate, device.description.tensorPeakRate)
      let peak: Double? =
        switch device.precision {
        case .single: single
        case .tf32: tensor
        case .half: tensor.map { 2 * $0 } ?? single
        }
      fields["peak_flop_rate"] = peak.map { .number($0) }
      fields["device_precision"] = .string(device.precision.rawValue)
    }
    if cases.count != 1 {
      fields["cases"] = .array(
        cases.map { part in
          var fields = JSON.Object()
          part.describe(in: &fields)
          return .object(fields)
        })
    }
    if let profile = measuredProfile { fields["profile"] = .array(profile.rows.map(\.json)) }
    return .object(fields)
  }

  var profileTable: String? { measuredProfile?.table }

  private var measuredProfile: BenchProfile? {
    profile.map { BenchProfile($0, seconds: cases.flatMap(\.seconds)) }
  }
}

extension BenchResult.Case {
  var median: Double {
    let middle = seconds.count / 2
    return seconds.count.isMultiple(of: 2)
      ? (seconds[middle - 1] + seconds[middle]) / 2 : seconds[middle]
  }

  fileprivate func describe(in fields: inout JSON.Object) {
    if !work.size.isEmpty { fields["size"] = .string(work.size) }
    if let batch = work.batch { fields["batch"] = .integer(batch) }
    fields["median_s"] = .number(median)
    fields["min_s"] = .number(seconds[0])
    fields["runs"] = .integer(seconds.count)
    for (key, count) in [("flop", flop), ("bytes", work.bytes), ("items", work.items)] {
      if let count { fields[key] = .integer(count) }
    }
  }
}
