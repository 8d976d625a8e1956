"""The addresses of the views."""

from django.urls import path

from . import views

urlpatterns = [path("<int:number>", views.row), path("version", views.version)]
