import Devices
import Files
import TestSupport
import Testing

extension DeviceTests {
  @Suite
  struct DeviceSelectionTests {
    private func found(
      _ name: String, flaw: String? = nil, isProcessor: Bool = false
    ) -> Devices.Found {
      Devices.Found(
        name: name,
        description: DeviceDescription(
          product: "a card", driver: "1", compiler: "1", byteCount: 1 << 30,
          isProcessor: isProcessor, peakRate: nil), flaw: flaw)
    }

    @Test("each process on a machine takes the next card that can be used")
    func local() {
      let cards = [found("cuda:0"), found("cuda:1", flaw: "no compiler"), found("cuda:2")]
      let names = (0..<5).map { DeviceSelection(cards, for: $0).usable.map(\.name) }
      #expect(names[0] == ["cuda:0", "cuda:2"] && names[1] == ["cuda:2", "cuda:0"])
      #expect(names[2] == names[0] && names[3] == names[1] && names[4] == names[0])
      // A launcher that shows each process its own card.
      #expect(DeviceSelection([found("cuda:0")], for: 3).usable.map(\.name) == ["cuda:0"])
      #expect(DeviceSelection([], for: 3).usable.isEmpty)
      // A processor is no substitute for a GPU that cannot be used.
      let mixed = [found("opencl:0", flaw: "small"), found("opencl:1", isProcessor: true)]
      #expect(DeviceSelection(mixed, for: 0).usable.isEmpty)
      #expect(DeviceSelection(Array(mixed[1...]), for: 1).usable.map(\.name) == ["opencl:1"])
    }

    @Test("processes that are shown different cards are told apart")
    func visible() {
      let one = DeviceSelection.visible(in: ["CUDA_VISIBLE_DEVICES": "0", "HOME": "/"])
      #expect(one == DeviceSelection.visible(in: ["CUDA_VISIBLE_DEVICES": "0"]))
      #expect(one != DeviceSelection.visible(in: ["CUDA_VISIBLE_DEVICES": "1"]))
      #expect(one != DeviceSelection.visible(in: [:]))
    }

    private struct Choice {
      var device: DeviceBackend?
      var notes: [String] = []
      var error: (any Error)?
    }

    /// The devices that a process uses, some of which compute wrongly or have no memory.
    private func choose(
      _ folder: String, localRank: Int = 0, isAlone: Bool = true, wrong: Set<String> = [],
      full: Set<String> = []
    ) throws -> Choice {
      let other = try TestDevice.open().device
      var choice = Choice()
      let cards = [found("cuda:0"), found("cuda:1"), found("cuda:2")]
      do {
        choice.device = try DeviceSelection(cards, for: localRank).firstRight(isAlone: isAlone) {
          card in
          let device = SyntheticDevice(
            named: card.name, other, without: "clampElements",
            by: wrong.contains(card.name) ? nil : "nobody",
            failing: full.contains(card.name)
              ? .outOfMemory(byteCount: 1, device: card.name) : nil)
          let backend = DeviceBackend(device)
          try CheckedDevices(folder: folder).require(backend)
          return backend
        } passOver: { error, next in
          choice.notes.append("\(next?.name ?? "cpu") since \(error)")
        }
      } catch {
        choice.error = error
      }
      return choice
    }

    @Test(
      "a card that computes wrongly is left for the next one, and all of them for the CPU",
      .enabled(if: TestDevice.isHere))
    func wrong() throws {
      try withTemporaryFolder { folder throws in
        #expect(try choose(folder).device?.name == "cuda:0")
        var choice = try choose("\(folder)/a", wrong: ["cuda:0"])
        #expect(choice.device?.name == "cuda:1" && choice.notes.count == 1)
        #expect(
          choice.notes[0].hasPrefix(
            "cuda:1 since cuda:0 gives wrong results in 1 of its operations"))
        choice = try choose("\(folder)/b", wrong: ["cuda:0", "cuda:1", "cuda:2"])
        #expect(choice.device == nil && choice.error == nil && choice.notes.count == 3)
        #expect(choice.notes[2].hasPrefix("cpu since cuda:2 gives wrong results"))
        // From the last one on, the first.
        choice = try choose("\(folder)/c", localRank: 2, wrong: ["cuda:2"])
        #expect(choice.device?.name == "cuda:0")
      }
    }

    @Test(
      "a card that others have filled, or one of several ranks', is not left",
      .enabled(if: TestDevice.isHere))
    func kept() throws {
      try withTemporaryFolder { folder throws in
        var choice = try choose("\(folder)/a", wrong: ["cuda:0"], full: ["cuda:0"])
        #expect(choice.device == nil && choice.notes.isEmpty)
        #expect(choice.error as? DeviceError == .outOfMemory(byteCount: 1, device: "cuda:0"))
        choice = try choose("\(folder)/b", isAlone: false, wrong: ["cuda:0"])
        #expect(choice.device == nil && choice.error is DeviceCheck.Failure)
      }
    }
  }
}
