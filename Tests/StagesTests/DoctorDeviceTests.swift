import Backends
import Files
import StageSupport
import Stages
import Testing

extension DoctorTests {
  private func device(_ byteCount: Int, sharesMemory: Bool = false) -> PlannedDevice {
    PlannedDevice(
      "cuda:0", byteCount: byteCount, activations: .single, sharesMemory: sharesMemory)
  }

  @Test("what computes on a device takes its memory, and little of the machine's")
  func onDevice() throws {
    let (host, other) = (try doctor(), try doctor(device: device(1 << 40)))
    #expect(other.problems.isEmpty && other.seconds == nil)
    for (host, other) in zip(host.forecasts, other.forecasts) {
      guard ["encode", "preference", "spo", "report"].contains(host.stage) else {
        #expect(other.memory.byteCount(in: .device) == 0, "\(host.stage)")
        continue
      }
      let onDevice = other.memory.byteCount(in: .device)
      #expect(
        onDevice > 10_000_000 && onDevice < host.memory.byteCount(in: .machine), "\(host.stage)")
      #expect(
        other.memory.byteCount(in: .machine) < host.memory.byteCount(in: .machine), "\(host.stage)")
    }
    let shared = try doctor(device: device(1 << 40, sharesMemory: true)).forecasts
    for (shared, other) in zip(shared, other.forecasts) {
      #expect(
        shared.memory.byteCount(in: .machine) == other.memory.byteCount(in: .machine)
          + other.memory.byteCount(in: .device))
    }
  }

  @Test("a stage that a device cannot hold is refused, with the settings that make it fit")
  func deviceRefusal() throws {
    let forecasts = try doctor(device: device(1 << 40)).forecasts
    let needs = try #require(forecasts.first { $0.stage == "spo" }).memory.byteCount(in: .device)
    let problems = try doctor(device: device(needs)).problems
    let spo = try #require(problems.first { $0.what.hasPrefix("spo needs about") })
    #expect(spo.what.contains(" on cuda:0, but it has only ") && spo.kind == .space)
    let settings = advice(spo)
    #expect(settings.first == "spo.micro_batch=1", "\(spo)")
    let left = try doctor(overrides: Self.paths + settings, device: device(needs)).problems
    #expect(!left.contains { $0.what.hasPrefix("spo") }, "\(left)")
    let none = try doctor(device: device(1_000_000)).problems.map(\.description)
    #expect(
      none.contains {
        $0.hasPrefix("spo needs") && $0.contains("device_precision=f16, still")
          && $0.contains("use a device with")
      }, "\(none)")
  }
}
