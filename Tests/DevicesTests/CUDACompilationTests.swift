import Devices
import Testing

struct CUDACompilationTests {
  /// Requires NVIDIA's compiler, as after `make check-cuda`, but no GPU.
  @Test(
    "every kernel compiles for CUDA", .enabled(if: CUDACompilation.isHere),
    arguments: ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"])
  func compilation(_ target: String) throws {
    #expect(try CUDACompilation.compileAll(for: target) == (target == "sm_75" ? 114 : 173))
  }

  @Test(
    "one compiler makes the same code of the same kernels", .enabled(if: CUDACompilation.isHere))
  func sameCode() throws {
    for (source, definitions) in CUDACompilation.variants(.half, onTensorCores: true).suffix(6) {
      let codes = try (0..<2).map { _ in
        try CUDACompilation.machineCode(source, definitions, for: "sm_90")
      }
      #expect(codes[0] == codes[1] && codes[0].count > 1_000, "\(source.name) \(definitions)")
    }
  }

  @Test(
    "machine code that points beyond its end is not loaded", .enabled(if: CUDACompilation.isHere),
    arguments: ["sm_75", "sm_90", "sm_120"])
  func whole(_ target: String) throws {
    let variants = CUDACompilation.variants(.half, onTensorCores: false)
    for (source, definitions) in [
      variants[0], try #require(variants.first { $0.0.name == "product" }),
    ] {
      let code = try CUDACompilation.machineCode(source, definitions, for: target)
      #expect(CUDACompilation.isWhole(code))
      for count in [0, 5, 63, 64, 100, code.count / 2, code.count - 1] {
        #expect(!CUDACompilation.isWhole(Array(code.prefix(count))), "\(count)")
      }
      // Offsets and numbers of the header's tables, each made too large.
      for place in [33, 39, 41, 47, 57, 61] {
        var changed = code
        changed[place] = 0xFF
        #expect(!CUDACompilation.isWhole(changed), "\(place)")
      }
    }
  }

  @Test("a compiler is told from others of its version", .enabled(if: CUDACompilation.isHere))
  func digest() throws {
    #expect(try CUDACompilation.digest()?.wholeMatch(of: /[0-9a-f]{8}/) != nil)
  }
}
