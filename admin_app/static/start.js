// Shows /openapi.json in Swagger UI. validatorUrl: null prevents requests to a server on the internet.
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: true,
  validatorUrl: null,
});
