import Autograd
import Backends
import Checkpoints
import Devices
import Files
import HostResources
import PipelineCore

/// Repeatable work, and its amount per run.
struct BenchWork {
  /// The size that distinguishes it from others of the benchmark.
  var size = ""
  var batch: Int?
  /// Floating-point operations, counting a multiply-add as two; nil: the sum over its operations.
  var flop: Int?
  /// Bytes read; for operators, read and written.
  var bytes: Int?
  var items: Int?
  /// The inputs that other programs need for the same work, images channels-last.
  var inputs: [String: Tensor] = [:]
  /// Cleans up after the runs.
  var cleanUp: () throws -> Void = {}
  /// Runs the work and returns the outputs, if they can be compared.
  var run: () throws -> [String: Tensor]
}

/// The result of a benchmark.
struct BenchResult {
  struct Case {
    let work: BenchWork
    /// The operations per run; nil if not counted.
    let flop: Int?
    /// The seconds of each run, ascending.
    let seconds: [Double]
    /// The outputs of the first run.
    let outputs: [String: Tensor]
  }

  let name: String
  let cases: [Case]
  /// Nil: the host.
  private let device: DeviceBackend?
  private let isUnproven: Bool
  /// The profile of all runs together.
  let profile: OperationProfile?

  /// Warms up each piece of work, unless the schedule is cold, then measures it.
  ///
  /// - Parameters:
  ///   - device: the device to compute on and wait for; nil: the host
  ///   - isUnproven: whether it may compute wrongly
  ///   - keepsOutputs: keeps those of the first run, which warms up unless the schedule is cold
  init(
    name: String, _ works: [BenchWork], on device: DeviceBackend?, isUnproven: Bool,
    schedule: BenchSchedule, profile: OperationProfile?, keepsOutputs: Bool
  ) throws {
    self.name = name
    self.device = device
    self.isUnproven = isUnproven
    self.profile = profile
    cases = try works.map { work in
      // A separate profile replaces the requested one.
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

  /// Runs work until new threads are spread over processors.
  ///
  /// - Parameter profile: records the first run
  /// - Returns: the outputs of the first run, if they are kept
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

  /// One object; for several sizes their sums, and an object for each.
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
      if isUnproven { fields["unproven"] = true }
      fields["device_peak_mb"] = .number(Double(device.peakBytes) / 1_048_576)
      // Tensor cores are twice as fast with binary16 as with TF32.
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
