import Devices
import Testing

struct CUDACompilationTests {
  /// Where NVIDIA's compiler is, as after `make check-cuda`; no GPU is needed.
  @Test(
    "every kernel compiles for CUDA", .enabled(if: CUDACompilation.isHere),
    arguments: ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"])
  func compilation(_ target: String) throws {
    #expect(try CUDACompilation.compileAll(for: target) == 28)
  }

  @Test(
    "one compiler makes the same code of the same kernels", .enabled(if: CUDACompilation.isHere))
  func sameCode() throws {
    for (source, definitions) in CUDACompilation.variants.suffix(9) {
      let codes = try (0..<2).map { _ in
        try CUDACompilation.machineCode(source, definitions, for: "sm_90")
      }
      #expect(codes[0] == codes[1] && codes[0].count > 1_000, "\(source.name) \(definitions)")
    }
  }

  @Test("a compiler is told from others of its version", .enabled(if: CUDACompilation.isHere))
  func digest() throws {
    #expect(try CUDACompilation.digest()?.wholeMatch(of: /[0-9a-f]{8}/) != nil)
  }
}
